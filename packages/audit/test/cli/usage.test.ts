import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { run } from '../../src/cli/run.ts'
import { fileStore } from '../../src/file/index.ts'
import { createAudit, generateKey } from '../../src/index.ts'
import { cli } from './run-cli.ts'

const { signer, verifier } = generateKey('acme.example/prod')
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keelson-cli-'))
  const audit = createAudit({ store: fileStore({ dir: join(folder, 'log'), appendTimeout: '1m' }), key: signer })
  await audit.record({ scope: 'acme', action: 'user.update', actor: { type: 'user', id: 'u_17' } })
  await audit.flush()
  await audit.close()
  await writeFile(join(folder, 'no-note'), 'hello\n')
})
afterAll(() => rm(folder, { recursive: true }))

const VERIFY = ['verify', '--key', verifier]
const EXPORT = ['export', '--dir', '@log']
const DEAD = ['dead-letters', '--dir', '@log']

test.each([
  [[], 'a command is needed: keygen, verify, export, dead-letters; --help tells more'],
  [['sign'], "(got 'sign')"],
  [['keygen'], 'a name is needed'],
  [['keygen', 'a', 'b'], 'one name is needed (got 2)'],
  [['keygen', 'a+b'], "(got 'a+b')"],
  [['keygen', 'a', '--out', '@none/at/all'], 'ENOENT'],
  [['verify', '--dir', '@log'], '--key VERIFIER is needed'],
  [[...VERIFY, '--dir', '@nowhere'], '--dir: there is no folder'],
  [[...VERIFY, '--dir', '@log', '--log', 'other'], "there is no log 'other'"],
  [[...VERIFY, '--dir', '@log', '--log', 'A/B'], '--log must'],
  [[...VERIFY, '--dir', '@log', '--against', '@none'], 'cannot be read: ENOENT'],
  [[...VERIFY, '--dir', '@log', '--against', '@no-note'], 'must have signatures'],
  [[...VERIFY, '--dir', '@log', '--pruned', '5'], '--pruned goes with --tiles'],
  [[...VERIFY, '--dir', '@log', '--key', signer], '--key must be a verifier, not a signer'],
  [[...VERIFY, '--dir', '@log', 'more'], "no operand is needed (got 'more')"],
  [[...VERIFY, '--dir', '@log', '--save', '@none/at/all'], '--save: '],
  [[...EXPORT], '--scope SCOPE is needed'],
  [[...EXPORT, '--scope', ''], '--scope SCOPE needs a value'],
  [[...EXPORT, '--scope', 'x'.repeat(200)], '--scope must be 1 to 128 bytes'],
  [[...EXPORT, '--scope', 'acme', '--action', '*'], '--action must be one such as'],
  [[...EXPORT, '--scope', 'acme', '--from', 'yesterday'], '--from must be a day'],
  [[...EXPORT, '--scope', 'acme', '--outcome', 'good'], '--outcome must be success, failure or unknown'],
  [[...EXPORT, '--scope', 'acme', '--by', 'user:me'], '--by has no meaning'],
  [[...DEAD], 'what to do is needed: list, replay or discard'],
  [[...DEAD, 'burn'], "(got 'burn')"],
  [[...DEAD, 'toString'], "(got 'toString')"],
  [[...DEAD, 'list', 'x'], 'list takes no ids'],
  [[...DEAD, 'replay'], 'replay needs ids, --sink NAME, or --all alone'],
  [[...DEAD, 'replay', '--all', 'x'], 'replay needs ids'],
  [[...DEAD, 'discard', '--reason', 'x'], 'discard needs ids'],
  [[...DEAD, 'discard', 'x'], '--reason TEXT is needed'],
  [[...DEAD, 'discard', 'x', '--reason', 'x', '--all'], 'discard takes ids'],
])('%j ends with one line that says why', async (args, message) => {
  const { code, problem = '' } = await run(args.map((arg) => arg.replace(/^@/, `${folder}/`)))
  expect(code).toBe(2)
  expect(problem).toContain(message)
  expect(problem).toMatch(/^keelson-audit.*$/)
  expect(problem).not.toContain(signer.slice(-20))
})

test('the real command says it on its error output, and how each is used on its output', async () => {
  expect(await cli(['sign'])).toEqual({ code: 2, out: '', err: expect.stringMatching(/^keelson-audit: .*\n$/) })
  const overview = await cli(['--help'])
  expect(overview).toMatchObject({ code: 0, err: '' })
  for (const name of ['keygen', 'verify', 'export', 'dead-letters']) expect(overview.out).toContain(`\n  ${name} `)
  expect(await cli(['verify', '-h'])).toMatchObject({ code: 0, out: expect.stringContaining('--database-url URL') })
})
