import { exec } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { fileStore } from '../../src/file/index.ts'
import { createAudit, generateKey, type Audit } from '../../src/index.ts'
import { openPostgres } from '../postgres/open-postgres.ts'
import { cli } from './run-cli.ts'

const { signer } = generateKey('acme.example/prod')
const sh = promisify(exec)

async function fill(audit: Audit, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await audit.record({
      scope: i % 2 === 0 ? 'acme' : 'other',
      action: i % 3 === 0 ? 'user.delete' : 'user.update',
      actor: { type: 'user', id: `u_${i}` },
      outcome: i === 4 ? 'failure' : 'success',
      at: Date.UTC(2026, 0, 1 + i),
      data: { i, text: 'x'.repeat(200) },
    })
  }
  await audit.flush()
}

function numbersIn(out: string): number[] {
  return out
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => (JSON.parse(line) as { audit: { data: { i: number } } }).audit.data.i)
}

describe('a folder', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keelson-cli-'))
    const audit = createAudit({ store: fileStore({ dir: join(folder, 'log'), appendTimeout: '1m' }), key: signer })
    await fill(audit, 1_000)
    await audit.close()
  })
  afterAll(() => rm(folder, { recursive: true }))
  const exported = (...args: string[]) => cli(['export', '--dir', 'log', ...args], { cwd: folder })

  test('is exported as it is asked for, and says that nothing is recorded', async () => {
    const all = await exported('--scope', '*', '--order', 'asc')
    expect(all).toMatchObject({ code: 0, err: 'keelson-audit export: this export is not recorded in the log\n' })
    expect(numbersIn(all.out)).toEqual(Array.from({ length: 1_000 }, (_, i) => i))
    const some = ['--scope', 'acme', '--action', 'user.*', '--from', '2026-01-03', '--to', '2026-01-08T00:00:00Z']
    expect(numbersIn((await exported(...some)).out)).toEqual([6, 4, 2])
    expect(numbersIn((await exported('--scope', 'acme', '--outcome', 'failure')).out)).toEqual([4])
    expect(numbersIn((await exported('--scope', 'acme', '--actor', 'user:u_8')).out)).toEqual([8])
  })

  test('may lose its reader: that is no failure', async () => {
    const main = join(import.meta.dirname, '../../src/cli/main.ts')
    const command = `${process.execPath} --conditions=@keelson/source --no-warnings ${main} export --dir log --scope '*'`
    const { stdout, stderr } = await sh(`set -o pipefail; ${command} | head -n 2`, { cwd: folder, shell: 'bash' })
    expect(numbersIn(stdout)).toHaveLength(2)
    expect(stderr).toBe('')
  })
})

test('from Postgres an export is an entry itself, unless the role may only read', async () => {
  await using server = await openPostgres()
  const audit = createAudit({ store: server.store, key: signer, storeTimeout: '30s' })
  await fill(audit, 6)
  const place = ['export', '--database-url', inject('databaseUrl'), '--schema', server.schema, '--scope', 'acme']
  expect(numbersIn((await cli([...place, '--order', 'asc'])).out)).toEqual([0, 2, 4])
  expect(await cli([...place, '--by', 'user:auditor'])).toMatchObject({ code: 0, err: '' })
  expect(await cli([...place, '--unrecorded'])).toMatchObject({ code: 0, err: expect.stringContaining('not recorded') })
  await audit.flush()
  const { entries } = await audit.query({ scope: 'acme', action: 'audit.log.exported', order: 'asc' })
  expect(entries.map(({ actor }) => actor)).toEqual([
    { type: 'os-user', id: userInfo().username },
    { type: 'user', id: 'auditor' },
  ])
  await audit.close()
})

test('without the driver a Postgres is told what is missing', async () => {
  const { code, err } = await cli(['export', '--database-url', 'postgres://127.0.0.1/app', '--scope', 'acme'], {
    env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(HIDE_PG)}` },
  })
  expect({ code, err }).toEqual({
    code: 2,
    err: "keelson-audit export: the driver 'pg' is needed for a Postgres and is not installed here: npm install pg\n",
  })
})

/** This workspace has the driver: for this one process it has not. */
const HIDE_PG = `
import Module from 'node:module'
const resolve = Module._resolveFilename
Module._resolveFilename = function (request, ...rest) {
  if (request === 'pg') throw Object.assign(new Error('hidden'), { code: 'MODULE_NOT_FOUND' })
  return resolve.call(this, request, ...rest)
}`
