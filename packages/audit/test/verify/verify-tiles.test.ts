import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { exportTree } from '../../src/tree/export-tree.ts'
import { formatBundle } from '../../src/tree/bundle.ts'
import { openCheckpoint, verifyTiles } from '../../src/verify/index.ts'
import { openLog, type Log } from './log.ts'

let folder: string
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'keelson-tiles-'))))
afterAll(async () => await rm(folder, { recursive: true }))

const code = (code: string, message: unknown = expect.any(String)): unknown =>
  expect.objectContaining({ name: 'AuditError', code, message })
const about = (text: string): unknown => code('STORE_CORRUPT', expect.stringContaining(text))

async function exported(size: number): Promise<{ log: Log; dir: string; verify: () => Promise<unknown> }> {
  const log = openLog()
  log.grow(size)
  const dir = await mkdtemp(join(folder, 'log-'))
  await exportTree(dir, await log.source())
  return { log, dir, verify: () => verifyTiles(dir, { keys: [log.verifier] }) }
}

describe('an exported log', () => {
  test('has the files of its specification and is verified', async () => {
    const { log, dir, verify } = await exported(700)
    expect(await filesOf(dir)).toEqual([
      'checkpoint',
      'tile/0/000',
      'tile/0/001',
      'tile/0/002.p/188',
      'tile/1/000.p/2',
      'tile/entries/000',
      'tile/entries/001',
      'tile/entries/002.p/188',
    ])
    expect(await readFile(join(dir, 'tile/entries/001'))).toEqual(formatBundle(log.entries.slice(256, 512) as Buffer[]))
    expect(await verify()).toEqual(openCheckpoint(await log.checkpoint(), [log.verifier]))
  })

  test.each([0, 1, 255, 256, 257, 1_400])('of %i entries is verified', async (size) => {
    const { verify } = await exported(size)
    expect(await verify()).toMatchObject({ size })
  })

  test('grows; what is full is not written again, and what is full now has no partial beside it', async () => {
    const { log, dir, verify } = await exported(300)
    const older = await log.checkpoint()
    const before = await stat(join(dir, 'tile/0/000'))
    log.grow(400)
    expect(await exportTree(dir, await log.source())).toEqual({ size: 700 })
    expect((await stat(join(dir, 'tile/0/000'))).ino).toBe(before.ino)
    expect(await filesOf(dir)).toEqual([
      'checkpoint',
      'tile/0/000',
      'tile/0/001',
      'tile/0/002.p/188',
      'tile/1/000.p/1',
      'tile/1/000.p/2',
      'tile/entries/000',
      'tile/entries/001',
      'tile/entries/002.p/188',
    ])
    await verify()
    // Whoever has the older checkpoint finds what it speaks of.
    await writeFile(join(dir, 'checkpoint'), older)
    expect(await verify()).toMatchObject({ size: 300 })
  })

  test('is written again where something is missing', async () => {
    const { log, dir, verify } = await exported(600)
    await rm(join(dir, 'tile/0/000'))
    await truncate(join(dir, 'tile/0/001'), 100)
    await rm(join(dir, 'tile/entries'), { recursive: true })
    await exportTree(dir, await log.source())
    await verify()
  })

  test('that stops anywhere leaves the older one whole, and goes on the next time', async () => {
    const { log, dir, verify } = await exported(300)
    log.grow(900)
    const source = await log.source()
    let stops = 0
    for (let calls = 0; ; calls++, stops++) {
      let left = calls
      const orStop = async <T>(work: Promise<T>): Promise<T> => {
        if (left-- > 0) return await work
        throw new Error('stopped')
      }
      const stopping = {
        ...source,
        readTiles: (refs: Parameters<typeof source.readTiles>[0]) => orStop(source.readTiles(refs)),
        readEntries: (from: number, count: number) => orStop(source.readEntries(from, count)),
      }
      const done = await exportTree(dir, stopping).catch((error: Error) => error.message)
      if (done !== 'stopped') break
      expect(await verify()).toMatchObject({ size: 300 })
    }
    expect(stops).toBeGreaterThan(4)
    expect(await verify()).toMatchObject({ size: 1_200 })
    expect((await filesOf(dir)).filter((path) => path.includes('/.'))).toEqual([])
  })

  test('on a disk that does not take it says so', async () => {
    const log = openLog()
    log.grow(3)
    await writeFile(join(folder, 'no-folder'), '')
    await expect(exportTree(join(folder, 'no-folder'), await log.source())).rejects.toThrow(code('STORE_UNAVAILABLE'))
  })

  test('is not mixed with another log, a shorter one or one with another history', async () => {
    const { log, dir, verify } = await exported(300)
    const [foreign, rewritten, shorter] = [openLog('acme.example/other'), openLog(undefined, 'other'), openLog()]
    for (const each of [foreign, rewritten]) each.grow(400)
    shorter.grow(299)
    await expect(exportTree(dir, await foreign.source())).rejects.toThrow(code('INPUT_INVALID'))
    await expect(exportTree(dir, await rewritten.source())).rejects.toThrow(about('are not those that'))
    await expect(exportTree(dir, await shorter.source())).rejects.toThrow(about('300 entries, the log only 299'))
    await writeFile(join(dir, 'checkpoint'), 'hello')
    await expect(exportTree(dir, await log.source())).rejects.toThrow(code('INPUT_INVALID'))
    await writeFile(join(dir, 'checkpoint'), await log.checkpoint())
    await verify()
  })

  test('whose tiles do not make its root is not exported', async () => {
    const log = openLog()
    log.grow(300)
    const source = await log.source()
    const dir = join(folder, 'none')
    const wrong = { ...source, readTiles: async () => [Buffer.alloc(8_192), Buffer.alloc(8_192)] }
    await expect(exportTree(dir, wrong)).rejects.toThrow(about('do not make the root'))
    await expect(exportTree(dir, { ...source, checkpoint: 'hello' })).rejects.toThrow(code('INPUT_INVALID'))
    expect(await filesOf(dir)).toEqual([])
  })

  test('has no bundles of dropped entries, which the reader must allow', async () => {
    const log = openLog()
    log.grow(700)
    log.entries.fill(null, 0, 300)
    const dir = await mkdtemp(join(folder, 'log-'))
    await exportTree(dir, await log.source())
    expect((await filesOf(dir)).filter((path) => path.includes('entries'))).toEqual(['tile/entries/002.p/188'])
    const keys = [log.verifier]
    await expect(verifyTiles(dir, { keys })).rejects.toThrow(about('entry 0: tile/entries/000 is missing'))
    await expect(verifyTiles(dir, { keys, pruned: 256 })).rejects.toThrow(about('entry 256: '))
    expect(await verifyTiles(dir, { keys, pruned: 300 })).toMatchObject({ size: 700 })
  })
})

describe('verifyTiles', () => {
  test('compares with checkpoints kept elsewhere', async () => {
    const { log, dir } = await exported(600)
    const keys = [log.verifier]
    const [sizes, foreign] = [[0, 1, 256, 300, 600], openLog('acme.example/other')]
    await verifyTiles(dir, { keys, against: await Promise.all(sizes.map((size) => log.checkpoint(size))) })
    log.grow(1)
    await expect(verifyTiles(dir, { keys, against: [await log.checkpoint()] })).rejects.toThrow(
      about('its end was cut off'),
    )
    foreign.grow(1)
    const both = { keys: [...keys, foreign.verifier], against: [await foreign.checkpoint()] }
    await expect(verifyTiles(dir, both)).rejects.toThrow(code('INPUT_INVALID'))
    await expect(verifyTiles(dir, { keys, against: both.against })).rejects.toThrow(about('against[0]'))
  })

  test('finds a history that was rewritten and signed again', async () => {
    const { formatCheckpoint } = await import('../../src/note/checkpoint.ts')
    const { generateKey, parseSigner } = await import('../../src/note/keys.ts')
    const { signNote } = await import('../../src/note/note.ts')
    const { signer, verifier } = generateKey('acme.example/audit')
    const [told, kept] = [openLog(undefined, 'new'), openLog()]
    told.grow(500)
    kept.grow(400)
    const signed = async (log: Log, size: number): Promise<string> => {
      const root = Buffer.from(await log.root(size), 'base64')
      return signNote(formatCheckpoint({ origin: 'acme.example/audit', size, root }), [parseSigner('key', signer)])
    }
    const dir = await mkdtemp(join(folder, 'log-'))
    await exportTree(dir, { ...(await told.source()), checkpoint: await signed(told, 500) })
    const keys = [verifier]
    await verifyTiles(dir, { keys, against: [await signed(told, 400)] })
    await expect(verifyTiles(dir, { keys, against: [await signed(kept, 400)] })).rejects.toThrow(
      about('history was rewritten'),
    )
  })

  test('finds entries that were rewritten with all their tiles: the checkpoint is not theirs', async () => {
    for (const size of [200, 256, 600]) {
      const { log } = await exported(size)
      const other = openLog(undefined, 'other')
      other.grow(size)
      const dir = await mkdtemp(join(folder, 'log-'))
      await exportTree(dir, await other.source())
      await writeFile(join(dir, 'checkpoint'), await log.checkpoint())
      await expect(verifyTiles(dir, { keys: [log.verifier] })).rejects.toThrow(about('do not make the root'))
    }
  })

  test('names the entry or the tile in which a bit was changed, in every file', async () => {
    const { log, dir, verify } = await exported(600)
    for (const path of await filesOf(dir)) {
      const bytes = await readFile(join(dir, path))
      for (let i = 0; i < 40; i++) {
        const bit = (i * 7_919) % (bytes.length * 8)
        const flipped = Buffer.from(bytes)
        flipped[bit >> 3]! ^= 1 << (bit & 7)
        await writeFile(join(dir, path), flipped)
        await expect(verify(), `${path}, bit ${bit}`).rejects.toThrow(told(log, path, bit >> 3))
      }
      await writeFile(join(dir, path), bytes)
    }
    await verify()
  })

  test('names what is missing, cut off or too long', async () => {
    const { dir, verify } = await exported(600)
    for (const path of await filesOf(dir)) {
      const bytes = await readFile(join(dir, path))
      await rm(join(dir, path))
      await expect(verify(), `${path} missing`).rejects.toThrow(about(path.replace(/\.p.*/, '')))
      for (const other of [
        bytes.subarray(0, -1),
        bytes.subarray(0, 1),
        Buffer.of(),
        Buffer.concat([bytes, Buffer.of(0)]),
      ]) {
        await writeFile(join(dir, path), other)
        await expect(verify(), `${path} of ${other.length}`).rejects.toThrow(
          expect.objectContaining({ name: 'AuditError' }),
        )
      }
      await writeFile(join(dir, path), bytes)
    }
    await verify()
  })

  test('refuses a checkpoint that is longer than any, and one that is no UTF-8', async () => {
    const { log, dir, verify } = await exported(3)
    const note = Buffer.from(await log.checkpoint())
    for (const other of [Buffer.alloc(3_000_000, 'a'), Buffer.concat([note, Buffer.of(0xff)]), Buffer.of()]) {
      await writeFile(join(dir, 'checkpoint'), other)
      await expect(verify()).rejects.toThrow(code('INPUT_INVALID'))
    }
    await writeFile(join(dir, 'checkpoint'), Buffer.concat([Buffer.from('\ufeff'), note]))
    await expect(verify()).rejects.toThrow(code('STORE_CORRUPT'))
  })

  test('refuses options that are none', async () => {
    for (const wrong of [undefined, {}, { keys: [] }, { keys: ['x'] }, { keys: 'x' }, { key: [] }]) {
      await expect(verifyTiles(folder, wrong as never)).rejects.toThrow(code('OPTION_INVALID'))
    }
    const keys = [openLog().verifier]
    for (const wrong of [{ against: 'x' }, { pruned: -1 }]) {
      await expect(verifyTiles(folder, { keys, ...wrong } as never)).rejects.toThrow(code('OPTION_INVALID'))
    }
    await expect(verifyTiles(folder, { keys, against: ['x'] })).rejects.toThrow(about('has no checkpoint'))
    await writeFile(join(folder, 'file'), '')
    await expect(verifyTiles(join(folder, 'file'), { keys })).rejects.toThrow(about('has no checkpoint'))
  })
})

/** What must be said when a byte of a file was changed. */
function told(log: Log, path: string, at: number): unknown {
  if (path === 'checkpoint') return expect.objectContaining({ name: 'AuditError' })
  const [, bundle] = /entries\/(\d+)/.exec(path) ?? []
  if (bundle === undefined) return about(`${path.replace(/\.p.*/, '')} is missing or was changed`)
  let index = Number(bundle) * 256
  for (let left = at - 2 - log.entries[index]!.length; left >= 0; left -= 2 + log.entries[index]!.length) index += 1
  return code(
    'STORE_CORRUPT',
    expect.stringMatching(new RegExp(`^entry ${index} is (not the one that was sealed|cut off)`)),
  )
}

async function filesOf(dir: string): Promise<string[]> {
  const all = await readdir(dir, { recursive: true, withFileTypes: true }).catch(() => [])
  const files = all
    .filter((each) => each.isFile())
    .map((each) => join(each.parentPath, each.name).slice(dir.length + 1))
  return files.toSorted()
}
