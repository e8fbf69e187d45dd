import { createCache, keyOf } from '@keelson/cache'
import { transact } from '@keelson/kernel/postgres'
import type { Asked, Said } from './oracle-process.ts'
import { openPlace, type OraclePlace } from './oracle-place.ts'
import { stampedLate } from './stamped-late.ts'

/** One node of several: reads and writes through its cache what it is told to, and loads from who told it. */
const { PLACE = '', OPTIONS = '{}', STAMPED_LATE } = process.env
const place = JSON.parse(PLACE) as OraclePlace
const { db, store, end: _, ...shared } = await openPlace(place)
const caches = createCache({
  ...shared,
  store: STAMPED_LATE === '1' ? stampedLate(store!) : store!,
  ...JSON.parse(OPTIONS),
})
const cache = caches.scope('acme')
const asked = new Map<number, (version: number) => void>()
let ids = 0

const say = (said: Said): void => void process.send?.(said)

function ask(call: 'load' | 'advance', key: string): Promise<number> {
  const id = ++ids
  const answered = new Promise<number>((resolve) => asked.set(id, resolve))
  say({ id, call, key })
  return answered
}

async function write(key: string): Promise<number> {
  if (place.drops === true) return drop(key)
  const version = await ask('advance', key)
  await cache.invalidate(keyOf(key))
  return version
}

/** The change and the drop of what it makes old are one transaction. */
function drop(key: string): Promise<number> {
  return transact(db!, async (tx) => {
    const { rows } = await tx.query(
      `insert into ${place.name}.truth (key, version) values ($1, 1)
  on conflict (key) do update set version = truth.version + 1 returning version`,
      [key],
    )
    const [{ version }] = rows as [{ version: number }]
    return { value: version, effects: [cache.drop(keyOf(key))] }
  })
}

process.on('message', (message: Asked) => {
  if ('version' in message) {
    asked.get(message.id)?.(message.version)
    asked.delete(message.id)
    return
  }
  const { id, call, key } = message
  const answer = call === 'read' ? cache.getOrSet(key, () => ask('load', key)) : write(key)
  answer.then(
    (version) => say({ id, version }),
    (error: unknown) => say({ id, threw: String(error) }),
  )
})
process.on('disconnect', () => process.exit())
await caches.start()
process.send?.({ ready: true })
