import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { parseSigner, verifierText } from '../../src/note/keys.ts'
import { cli } from './run-cli.ts'

const verifierOf = (signer: string): string => verifierText(parseSigner('key', signer))

test('a signer comes alone on the output, its verifier beside it', async () => {
  const { code, out, err } = await cli(['keygen', 'acme.example/prod'])
  expect(code).toBe(0)
  expect(out).toMatch(/^PRIVATE\+KEY\+acme\.example\/prod\+[0-9a-f]{8}\+\S+\n$/)
  expect(err).toContain(verifierOf(out.trim()))
  expect(err).not.toContain('PRIVATE')
})

test('a signer in a file is of its owner alone, is never shown, and never written over another', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'keelson-keygen-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  const args = ['keygen', 'acme.example/prod', '--out', 'audit.key']
  const { code, out, err } = await cli(args, { cwd: dir })
  const signer = await readFile(join(dir, 'audit.key'), 'utf8')
  expect({ code, out, err }).toEqual({ code: 0, out: `${verifierOf(signer.trim())}\n`, err: '' })
  expect((await stat(join(dir, 'audit.key'))).mode & 0o777).toBe(0o600)

  const again = await cli(args, { cwd: dir })
  expect(again).toEqual({
    code: 2,
    out: '',
    err: "keelson-audit keygen: --out must be a new file; 'audit.key' is there already\n",
  })
  expect(await readFile(join(dir, 'audit.key'), 'utf8')).toBe(signer)
})
