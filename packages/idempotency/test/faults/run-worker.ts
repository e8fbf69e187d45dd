import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import {
  createIdempotency,
  type Execution,
  type Idempotency,
  type IdempotencyStore,
  type Outcome,
} from '@keelson/idempotency'
import { isKeelsonError } from '@keelson/kernel'
import { openStore, type StoreKind } from './open-store.ts'
import type { Answered, LedgerLine, Order, Said } from './run-process.ts'

/** A process that runs what it is told to, says what becomes of it, and dies or stands still at any line. */
const { STORE = '', STORE_URL = '', SPACE = '', LEDGER_URL, OPTIONS = '{}' } = process.env
const { store } = await openStore(STORE as StoreKind, STORE_URL, SPACE)
const idempotency: Idempotency = createIdempotency<IdempotencyStore>({ store, ...JSON.parse(OPTIONS) })
const ledger = LEDGER_URL === undefined ? undefined : new Redis(LEDGER_URL)
const gates = new Map<string, () => void>()

const say = (said: Said): void => void process.send?.(said)
const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6

async function work(order: Order, x: Execution): Promise<unknown> {
  const { attempt, fence, checkpoint } = x
  const line: LedgerLine = { attempt, fence: String(fence), value: order.value }
  await ledger?.rpush(`ledger:${order.call.key}`, JSON.stringify(line))
  const gate = new Promise<void>((resolve) => gates.set(order.id, resolve))
  say({ id: order.id, said: 'started', attempt, fence, checkpoint })
  if (order.save !== undefined) {
    await x.save(order.save).then(
      () => say({ id: order.id, said: 'saved' }),
      () => {},
    )
  }
  if (order.holdMs !== undefined) await sleep(order.holdMs)
  if (order.gated === true) await gate
  if (order.saveLater !== undefined) await saveAtLast(x, order.saveLater)
  return order.value
}

/** Who stood still in the middle of a renewal finds the guard open. */
async function saveAtLast(x: Execution, name: string): Promise<void> {
  for (;;) {
    try {
      return await x.save(name)
    } catch (error) {
      if (!isKeelsonError(error, 'STORE_UNAVAILABLE')) throw error
      await sleep(50)
    }
  }
}

async function answer(order: Order): Promise<Answered> {
  try {
    const outcome = await idempotency.run(order.call, (x) => work(order, x))
    return { outcome: plain(outcome), atMs: nowMs() }
  } catch (error) {
    return { threw: String((error as { code?: unknown }).code ?? error), atMs: nowMs() }
  }
}

/** Functions do not travel. */
function plain(outcome: Outcome<unknown>): Answered['outcome'] {
  if (outcome.ok) return outcome
  const { error: _, ...rest } = outcome
  return rest
}

process.on('message', (order: Order | { go: string }) => {
  if ('go' in order) return gates.get(order.go)?.()
  void Promise.all(Array.from({ length: order.times ?? 1 }, () => answer(order))).then((answers) =>
    say({ id: order.id, said: 'ended', answers }),
  )
})
process.on('disconnect', () => process.exit())
say({ id: '', said: 'ready' })
