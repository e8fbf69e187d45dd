import { cp, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { fileStore } from '../../src/file/index.ts'
import { createAudit, generateKey, type Audit, type AuditStore } from '../../src/index.ts'
import { openPostgres } from '../postgres/open-postgres.ts'
import { cli } from './run-cli.ts'

const { signer, verifier } = generateKey('acme.example/prod')
const stranger = generateKey('acme.example/prod').verifier
const COUNT = 12
let folder: string
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'keelson-cli-'))))
afterAll(() => rm(folder, { recursive: true, force: true }))

async function filled(store: AuditStore): Promise<{ audit: Audit; ids: string[] }> {
  const audit = createAudit({ store, key: signer, storeTimeout: '30s' })
  const ids: string[] = []
  for (let i = 0; i < COUNT; i++) {
    const actor = { type: 'user', id: 'u_17' }
    ids.push((await audit.record({ scope: 'acme', action: 'user.update', actor, data: { amount: 100 + i } })).id)
  }
  await audit.flush()
  return { audit, ids }
}

const verify = (...args: string[]) => cli(['verify', '--key', verifier, ...args], { cwd: folder })

describe('a folder', () => {
  let note: string
  beforeAll(async () => {
    const { audit } = await filled(fileStore({ dir: join(folder, 'log'), appendTimeout: '1m' }))
    note = await audit.checkpoint()
    await audit.close()
    await writeFile(join(folder, 'kept'), note)
  })

  test('in order is told so, for people and for programs', async () => {
    const told = await verify('--dir', 'log')
    expect(told).toMatchObject({ code: 0, err: '' })
    expect(told.out.split('\n')).toEqual([
      'log           acme.example/prod',
      `size          ${COUNT}`,
      'signed        all',
      expect.stringMatching(/^root {10}\S{44}$/),
      'integrity     ok',
      'completeness  unwitnessed: only a checkpoint that was kept elsewhere (--against) tells whether the end was cut off',
      'coverage      0 gaps with 0 entries lost, 0 pruned',
      'The log is in order.',
      '',
    ])
    const { code, out } = await verify('--dir', 'log', '--against', 'kept', '--json', '--save', 'saved')
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({ ok: true, size: COUNT, signed: COUNT, completeness: 'ok', problems: [] })
    expect(await readFile(join(folder, 'saved'), 'utf8')).toBe(note)
  })

  test('of which a segment was cut is broken, and the first missing index is named', async () => {
    await cp(join(folder, 'log'), join(folder, 'cut'), { recursive: true })
    const [segment] = (await readdir(join(folder, 'cut/main/seg'))).filter((name) => name.endsWith('.seg'))
    const path = join(folder, 'cut/main/seg', segment!)
    await truncate(path, (await readFile(path)).indexOf('"amount":107'))
    const { code, out } = await verify('--dir', 'cut', '--save', 'not-saved')
    expect(code).toBe(1)
    expect(out).toMatch(/^ENTRY_MISSING at 7\b/m)
    expect(out).not.toContain(' at 6')
    expect(out).toContain('The log is BROKEN.')
    expect(await readdir(folder)).not.toContain('not-saved')
  })

  test("without its checkpoints is nobody's, and with those of another key somebody else's", async () => {
    await cp(join(folder, 'log'), join(folder, 'unsigned'), { recursive: true })
    await rm(join(folder, 'unsigned/main/checkpoints'))
    expect(await verify('--dir', 'unsigned')).toMatchObject({ code: 1, out: expect.stringContaining('UNSIGNED: ') })
    const other = await cli(['verify', '--dir', 'log', '--key', stranger], { cwd: folder })
    expect(other).toMatchObject({ code: 1, out: expect.stringContaining('KEY_UNKNOWN') })
  })

  test('without a key is not verified', async () => {
    const { code, err } = await cli(['verify', '--dir', 'log'], { cwd: folder })
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining('--key VERIFIER is needed') })
  })
})

describe('a static tree', () => {
  beforeAll(async () => {
    const { audit } = await filled(fileStore({ dir: join(folder, 'source'), appendTimeout: '1m' }))
    await audit.exportTiles(join(folder, 'tiles'))
    await audit.close()
  })

  test('is verified with nothing but the key', async () => {
    expect(await verify('--tiles', 'tiles')).toMatchObject({ code: 0, out: expect.stringContaining('in order') })
    expect(await verify('--tiles', 'tiles', '--json', '--save', 'of-tiles')).toMatchObject({ code: 0 })
    expect(await verify('--tiles', 'tiles', '--against', 'of-tiles')).toMatchObject({
      out: expect.stringMatching(/^completeness {2}ok$/m),
    })
  })

  test('of which an entry was changed is broken at its index', async () => {
    const path = join(folder, 'tiles/tile/entries/000.p', String(COUNT))
    const bytes = await readFile(path)
    bytes.write('9', bytes.indexOf('"amount":104') + '"amount":10'.length)
    await writeFile(path, bytes)
    const { code, out } = await verify('--tiles', 'tiles')
    expect(code).toBe(1)
    expect(out).toMatch(/entry 4\b/)
  })
})

describe('Postgres', () => {
  test('in which an entry was changed behind the triggers is broken at its index', async () => {
    await using server = await openPostgres()
    const { audit, ids } = await filled(server.store)
    const place = ['--database-url', inject('databaseUrl'), '--schema', server.schema]
    expect(await verify(...place)).toMatchObject({ code: 0, out: expect.stringContaining('in order') })

    const change = `update ${server.schema}.audit_entry set body = convert_to(
      replace(convert_from(body, 'UTF8'), '"amount":105', '"amount":905'), 'UTF8') where id = $1`
    await expect(server.query(change, [ids[5]])).rejects.toThrow('is refused')
    const client = await server.pool.connect()
    await client.query('begin')
    await client.query('set local session_replication_role = replica')
    expect((await client.query(change, [ids[5]])).rowCount).toBe(1)
    await client.query('commit')
    client.release()

    const { code, out } = await cli(['verify', '--key', verifier, '--schema', server.schema], {
      env: { DATABASE_URL: inject('databaseUrl') },
    })
    expect(code).toBe(1)
    expect(out).toMatch(/^ENTRY_ALTERED at 5\b/m)
    expect(out.match(/^[A-Z_]+ at \d+/gm)).toHaveLength(1)
    await audit.close()
  })

  test('that is away, or has no such log, tells nothing', async () => {
    await using server = await openPostgres()
    const url = inject('databaseUrl')
    expect(await verify('--database-url', url, '--schema', server.schema)).toMatchObject({
      code: 2,
      err: expect.stringContaining("nothing was sealed in the log 'main'"),
    })
    expect(await verify('--database-url', url, '--schema', 'nowhere')).toMatchObject({
      code: 2,
      err: expect.stringContaining('there is no audit log in that schema'),
    })
    const away = await verify('--database-url', 'postgres://me:hunter2@127.0.0.1:1/app')
    expect(away).toMatchObject({ code: 2, err: expect.stringContaining('ECONNREFUSED') })
    expect(away.err).not.toContain('hunter2')
    expect(away.err.trimEnd().split('\n')).toHaveLength(1)
  })
})
