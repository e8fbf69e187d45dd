import type { Case } from '@keelson/kernel/conformance'
import { memoryStore } from '../../memory.ts'
import type { RefDigest } from '../../ref.ts'
import type { Claim, IdempotencyStore, Own, Settlement } from '../../store.ts'
import { bytes, LONG_MS, print, type Stage } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'
import { without } from '../without.ts'
import { storeCase } from './store-case.ts'

const ROUNDS = 4
const COMMANDS = 60

/** A claim in both stores: each has its own fences. */
interface Pair {
  readonly claim: Claim
  readonly fences: readonly bigint[]
}

/** What two stores must have in common of an answer: all but fences and instants. */
function comparable(answer: object | string | boolean | null): unknown {
  if (typeof answer !== 'object' || answer === null) return answer
  const { fence: _, leaseLeftMs, ageMs: __, expiresInMs: ___, op: ____, ...rest } = answer as Record<string, unknown>
  for (const part of ['bytes', 'checkpoint']) {
    if (rest[part] instanceof Uint8Array) rest[part] = Buffer.from(rest[part]).toString('hex')
  }
  return { ...rest, ...(leaseLeftMs === undefined ? {} : { alive: (leaseLeftMs as number) > 0 }) }
}

async function play({ store, random, equal, ok, someRef, claim }: Stage): Promise<void> {
  const stores: readonly IdempotencyStore[] = [store, memoryStore()]
  const ref: RefDigest = someRef()
  const pairs: Pair[] = []
  const history: string[] = []
  let lastFence = 0n
  const upTo = (n: number): number => Math.floor(random() * n)
  const oneOf = <T>(of: readonly T[]): T => of[upTo(of.length)]!

  /** The same command to both; the answers must be the same. */
  async function both<T extends object | string | boolean | null>(
    command: string,
    call: (to: IdempotencyStore, which: number) => Promise<T>,
  ): Promise<T[]> {
    history.push(command)
    const answers = [await call(stores[0]!, 0), await call(stores[1]!, 1)]
    equal(comparable(answers[0]!), comparable(answers[1]!), `\n${history.join('\n')}\nthe store first, then the model`)
    return answers
  }

  async function begin(): Promise<void> {
    const repeated = pairs.length > 0 && random() < 0.3 ? oneOf(pairs).claim : undefined
    const fingerprint = oneOf([undefined, print(1), print(1), print(2), print(1, 'raw')])
    const mine = repeated ?? {
      ...claim({ onLapsed: oneOf(['take', 'take', 'report']), trace: { correlationId: `corr-${pairs.length}` } }),
      ...(fingerprint === undefined ? {} : { fingerprint }),
    }
    const which = repeated === undefined ? `claim ${pairs.length}` : `claim ${pairs.findIndex((p) => p.claim === mine)}`
    const about = `${which}, ${mine.onLapsed}, ${mine.fingerprint?.alg ?? 'no fingerprint'} ${mine.fingerprint?.digest[0] ?? ''}`
    const answers = await both(`begin ${about}`, (to) => to.begin(ref, mine))
    const fences = answers.flatMap((answer) => (answer.kind === 'yours' ? [answer.fence] : []))
    if (fences.length === 0) return
    const known = pairs.some((pair) => pair.claim === mine && pair.fences[0] === fences[0])
    ok(known || fences[0]! > lastFence, `the fence of ${about} is not higher\n${history.join('\n')}`)
    if (fences[0]! > lastFence) lastFence = fences[0]!
    if (!known) pairs.push({ claim: mine, fences })
  }

  async function settle(): Promise<void> {
    const pair = recent()
    if (pair === undefined) return begin()
    const kind = oneOf(['done', 'tombstone', 'unknown', 'release', 'release', 'lapse', 'lapse'] as const)
    const as: Settlement = kind === 'done' ? { kind, bytes: bytes(upTo(256), upTo(256)) } : { kind }
    const answers = await both(`settle claim ${pairs.indexOf(pair)} as ${kind}`, (to, which) =>
      to.settle(ref, ownOf(pair, which), as, LONG_MS),
    )
    // What was released leaves nothing by which a repeat could be told.
    if (kind === 'release' && answers[0] === 'ok') pairs.splice(pairs.indexOf(pair), 1)
  }

  async function touch(): Promise<void> {
    const pair = recent()
    if (pair === undefined) return begin()
    const checkpoint = random() < 0.7 ? bytes(upTo(256)) : undefined
    await both(`touch claim ${pairs.indexOf(pair)} ${checkpoint?.[0] ?? ''}`, (to, which) =>
      to.touch(ref, ownOf(pair, which), LONG_MS, checkpoint),
    )
  }

  async function clear(): Promise<void> {
    const how = oneOf(['forget', 'retry', { bytes: bytes(upTo(256)) }] as const)
    await both(`clear: ${typeof how === 'string' ? how : 'answer'}`, (to) => to.clear(ref, how))
  }

  /** Mostly the newest claim: the others have nothing left to say. */
  function recent(): Pair | undefined {
    return random() < 0.7 ? pairs.at(-1) : pairs.length === 0 ? undefined : oneOf(pairs)
  }

  function ownOf({ claim, fences }: Pair, which: number): Own {
    return { nonce: claim.nonce, fence: fences[which]! }
  }

  for (let i = 0; i < COMMANDS; i++) {
    await oneOf([begin, begin, begin, settle, settle, touch, clear])()
    // Whose run it is need not be shown.
    await both('peek', async (to) => {
      const view = await to.peek(ref)
      return view === null ? null : without(view, 'operationId')
    })
  }
}

/** Any sequence of commands: the memory store is the model. */
export const modelCases: readonly Case<StoreUnderTest>[] = [
  storeCase('commands by chance are answered as the memory store answers them', async (stage) => {
    for (let round = 0; round < ROUNDS; round++) await play(stage)
  }),
]
