import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, inject, test } from 'vitest'
import { fakeClock } from '../../../../tools/servers/fake-clock.ts'
import { until } from '../../../../tools/servers/until.ts'
import { accountOf, quantile } from './account.ts'
import { QUICK, startNode, type NodeOptions } from './node.ts'
import { newPlace } from './place.ts'
import { startTally } from './tally.ts'
import { openSending, PATIENCE_MS, SCOPE, SLOW_MS } from './traffic.ts'

const LONG = process.env['LONG'] === '1'
const NODES = 4
const LIMIT = 3
const HOUR_S = 3_600

const urls = { redis: () => inject('redisUrl'), postgres: () => inject('databaseUrl') }
const kinds = ['redis', 'postgres'] as const

/** Nothing of a stalled machine is a crash: an attempt has a minute. */
const PATIENT: NodeOptions = { ...QUICK, network: { ...QUICK.network, timeout: '60s' } }

test.each(kinds)(
  'four processes deliver together, on %s: each event once, in order per key, never more at once than an endpoint takes',
  async (kind) => {
    const events = LONG ? 10_000 : 600
    const paths = 10
    const place = newPlace(kind, urls[kind]())
    await using tally = await startTally([5, 40])
    const endpoint = { concurrency: LIMIT, timeout: '60s' } as const
    await using sending = await openSending(place, endpoint)
    const limited: NodeOptions = { ...PATIENT, endpoint: { ...PATIENT.endpoint, ...endpoint } }
    await sending.endpoints(tally, paths)
    await using nodes = new AsyncDisposableStack()
    for (const node of await Promise.all(Array.from({ length: NODES }, () => startNode(place, limited))))
      nodes.use(node)
    const taking = (): number => new Set(tally.receipts.map(({ by }) => by)).size
    const most = (): number => Math.max(...Array.from({ length: paths }, (_, i) => tally.mostOf(`/${i}`)))
    // One that stands still for a while takes part all the same, and on a slow machine a lane is full later.
    const more = (): boolean => sending.acknowledged.size < events || taking() < NODES || most() < LIMIT
    await sending.flow(tally, { lines: 6 * paths, paths, more })
    await sending.drained()

    const { broken, crashed } = await accountOf(sending, tally)
    expect(broken.slice(0, 20)).toEqual([])
    expect({ crashed, requests: tally.receipts.length }).toEqual({ crashed: 0, requests: tally.ids.size })
    expect(most()).toBe(LIMIT)
  },
  LONG ? 3_600_000 : SLOW_MS,
)

test.each(kinds.flatMap((kind) => [1, 4].map((count) => [kind, count] as const)))(
  'half of the endpoints hang, on %s with processes: %i; the others are served as if nothing was',
  async (kind, count) => {
    const paths = 100
    const rounds = LONG ? 30 : 5
    const place = newPlace(kind, urls[kind]())
    const end = Promise.withResolvers<void>()
    let hanging = 0
    let isHanging = false
    await using tally = await startTally([0, 0], async ({ path }) => {
      // Those of odd numbers.
      if (!isHanging || Number(path.slice(1)) % 2 === 0) return
      hanging++
      await end.promise
    })
    await using sending = await openSending(place, { timeout: '60s' })
    await sending.endpoints(tally, paths)
    // Far fewer slots than endpoints that hang.
    const few: NodeOptions = { ...PATIENT, dispatcher: { ...QUICK.dispatcher, concurrency: 16 } }
    await using nodes = new AsyncDisposableStack()
    nodes.defer(() => end.resolve())
    for (const node of await Promise.all(Array.from({ length: count }, () => startNode(place, few)))) nodes.use(node)

    /** From `send` to arrival, of the endpoints of even numbers; ms, ascending. */
    async function delays(name: string): Promise<number[]> {
      const sentMs = new Map<string, number>()
      for (let round = 0; round < rounds; round++) {
        for (let i = 0; i < paths; i++) {
          const id = `${name}-${round}-${i}`
          if (i % 2 === 0) sentMs.set(id, Date.now())
          await sending.webhooks.send(`to.${i}`, {}, { scope: SCOPE, id })
        }
      }
      await until(`all of the healthy ones have theirs: ${name}`, PATIENCE_MS, async () =>
        [...sentMs.keys()].every((id) => tally.ids.has(id)) ? true : undefined,
      )
      const arrived = tally.receipts.filter(({ id }) => sentMs.has(id))
      return arrived.map(({ id, atMs }) => atMs - sentMs.get(id)!).toSorted((a, b) => a - b)
    }

    const calm = await delays('calm')
    await until('nothing of that is left', PATIENCE_MS, async () => tally.ids.size === paths * rounds || undefined)
    isHanging = true
    const hung = await delays('hung')
    // The others have had all of theirs. Each of these has what its lane took until it was known as slow, and none has
    // ended; a process that has claimed some of them may have stood still before it called.
    await until('each that hangs is called', PATIENCE_MS, async () => hanging >= paths / 2 || undefined)
    expect(hung).toHaveLength((rounds * paths) / 2)
    const shown = (of: readonly number[]): string => `p50 ${quantile(of, 0.5)} ms, p99 ${quantile(of, 0.99)} ms`
    console.log(
      `${kind}, ${count} processes: from send to arrival ${shown(calm)}; beside 50 of 100 that hang ${shown(hung)}`,
    )
  },
  SLOW_MS,
)

test.each(kinds)(
  'wall clocks of processes are wrong and jump, on %s: nothing changes but webhook-timestamp',
  async (kind) => {
    const place = newPlace(kind, urls[kind]())
    const tried = new Set<string>()
    // Each is refused once, so that its retry is due by somebody's clock.
    await using tally = await startTally([5, 20], ({ id }) => {
      if (tried.has(id)) return
      tried.add(id)
      return 500
    })
    await using sending = await openSending(place, { timeout: '60s' })
    await sending.endpoints(tally, 8)
    await using clock = await jumpingClock()
    await using jumping = await startNode(place, PATIENT, clock.env)
    await using right = await startNode(place, PATIENT)
    await using behind = await startNode(place, PATIENT, { ...(await fakeClock(0)), FAKETIME: `-${HOUR_S}` })
    const took = (node: { readonly name: string }) => tally.receipts.filter(({ by }) => by === node.name)
    /** Until each of them has had so many more. */
    async function share(requests: number): Promise<void> {
      const before = tally.receipts.length
      const more = (): boolean =>
        [jumping, right, behind].some(({ name }) => {
          return tally.receipts.slice(before).filter(({ by }) => by === name).length < requests
        })
      await sending.flow(tally, { lines: 16, paths: 8, more })
    }
    await share(30)
    await clock.jump(HOUR_S)
    const jumpedMs = Date.now()
    await share(30)
    await sending.drained()

    const { broken, crashed } = await accountOf(sending, tally)
    expect(broken.slice(0, 20)).toEqual([])
    expect({ crashed, requests: tally.receipts.length }).toEqual({ crashed: 0, requests: 2 * tally.ids.size })
    /** How far the clock of a process was off, in hours. */
    const hours = (node: { readonly name: string }): number[] => [
      ...new Set(took(node).map(({ sentS, atMs }) => Math.round((sentS - atMs / 1_000) / HOUR_S) + 0)),
    ]
    expect([hours(jumping), hours(right), hours(behind)]).toEqual([[0, 1], [0], [-1]])
    // Times that the store keeps are its own.
    for (const delivery of await sending.deliveries()) {
      for (const { at } of await sending.attempts(delivery)) {
        expect(Math.abs(at.getTime() - jumpedMs)).toBeLessThan((HOUR_S / 2) * 1_000)
      }
    }
  },
)

/** The environment of a process whose wall clock is right until it jumps. */
async function jumpingClock(): Promise<
  AsyncDisposable & { readonly env: Record<string, string>; jump(seconds: number): Promise<void> }
> {
  const folder = await mkdtemp(join(tmpdir(), 'keelson-clock-'))
  const file = join(folder, 'offset')
  // Renamed: half a file would be another time.
  async function jump(seconds: number): Promise<void> {
    await writeFile(`${file}.new`, `+${seconds}\n`)
    await rename(`${file}.new`, file)
  }
  await jump(0)
  const { FAKETIME: _, ...fake } = await fakeClock(0)
  return {
    env: { ...fake, FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: '1' },
    jump,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}
