import pg from 'pg'
import { afterAll, expect, inject, test } from 'vitest'
import type { Tx } from '../../src/index.ts'
import { unit } from '../../src/postgres/index.ts'
import { brokenDatabase } from '../../src/testing/index.ts'
import { startFaultProxy } from '../../../../tools/faults/fault-proxy.ts'
import { byHand } from './by-hand.ts'
import { unitsAreWhole } from './play-units.ts'
import { isQuiet, openWorld, watchProcess } from './world.ts'

watchProcess()
const POOL_SIZE = 2
const server = new URL(inject('databaseUrl'))
const proxy = await startFaultProxy({ host: server.hostname, port: Number(server.port || 5432) })
afterAll(() => proxy.close())

/** All connections are idle again, and there are as many as there may be. */
async function isWhole(pool: pg.Pool, size = POOL_SIZE): Promise<void> {
  await isQuiet(pool)
  expect(pool.totalCount).toBeLessThanOrEqual(size)
  // A connection that was cut may hear of it only now.
  const ignore = (): void => {}
  const take = async (): Promise<pg.PoolClient> => {
    const client = await pool.connect()
    return client.on('error', ignore)
  }
  for (const client of await Promise.all(Array.from({ length: size }, take))) {
    client.release()
    client.removeListener('error', ignore)
  }
}

test.concurrent('on a pool of pg, whose connections are cut and whose COMMIT is not answered', async () => {
  const world = await openWorld('kernel_unit_model', { via: proxy })
  const pool = world.openPool({ max: POOL_SIZE })
  const hasCommit = (bytes: Buffer): boolean => bytes.includes('COMMIT')
  /** ReadyForQuery, the end of a flight: six bytes that begin with a Z. */
  const isReady = (bytes: Buffer): boolean => bytes.at(-6) === 0x5a
  let cuts = false
  let loses = false
  let isArmed = false
  await unitsAreWhole({
    databaseOf: () => pool,
    breaks(round) {
      cuts = round.some(({ fault }) => fault !== undefined)
      loses = round.some(({ losesCommit }) => losesCommit) && round.length < 3
      if (loses && !isArmed) {
        isArmed = true
        void proxy.loseReplyAfter((bytes) => loses && hasCommit(bytes), isReady).then(() => (isArmed = false))
      }
      return cuts || loses
    },
    pause: () => cuts && proxy.resetAll(),
    committed: world.committed,
    settled: () => isWhole(pool),
  })
})

test.concurrent('on a Database wrapped by hand, each of whose calls may be refused or not answered', async () => {
  const world = await openWorld('kernel_unit_model_custom')
  const pool = world.openPool({ max: POOL_SIZE })
  await unitsAreWhole({
    databaseOf: ({ fault, losesCommit }) =>
      brokenDatabase(byHand(pool), (call, text) => {
        if (text === 'COMMIT' && fault !== undefined && losesCommit) return 'lose reply'
        return call === fault?.call ? fault.is : undefined
      }),
    breaks: (round) => round.some(({ fault }) => fault !== undefined),
    committed: world.committed,
    settled: () => isWhole(pool),
  })
})

test('statements that nobody awaits end with a work that throws', async () => {
  const world = await openWorld('kernel_unit_model_unawaited')
  const pool = world.openPool({ max: 1 })
  let leaked: Tx | undefined
  for (const db of [pool, byHand(pool)]) {
    const failing = unit(db, {
      open: [],
      async work(tx) {
        leaked = tx
        for (const sku of ['tea', 'milk', 'salt'])
          void tx.query('insert into items(sku) values ($1)', [sku]).catch(() => {})
        throw new Error('own')
      },
    })
    await expect(failing).rejects.toThrow('own')
    // Nobody hears of it, and the process goes on: watchProcess.
    void leaked?.query('select 1')
    await isWhole(pool, 1)
    expect((await world.committed()).items).toEqual([])
  }
})
