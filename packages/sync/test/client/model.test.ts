import fc from 'fast-check'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { canonical, type Json, type Win } from '@keelson/sync'
import { memoryStore, type SyncClient } from '@keelson/sync/client'
import { openWorld, type Task, type Weather, type World } from './open-world.ts'

/*
 * Devices with wrong clocks that are set while they run, over a network that loses requests and answers, restarted, copied,
 * with somebody else's rights. Once it is quiet they all show what the server has, each edit has counted once, and each
 * that did not count was told.
 */

const HOUR = 3_600_000
const LONG = process.env['LONG'] === '1' ? 10 : 1
const IDS = ['t1', 't2', 't3']

interface Device {
  client: SyncClient
  store: ReturnType<typeof memoryStore>
  skewMs: number
  readonly who: string
  teams: string[]
}

interface Run {
  readonly world: World
  readonly devices: Device[]
  readonly wins: Map<string, number>
  /** By the id of an edit. */
  readonly told: Map<string, string>
}

/** So that a counterexample is one again. */
let drawn = 0
/** Of splitmix32 (Steele et al. 2014): names that are close in time have nothing in common. */
function mixed(n: number): number {
  let z = Math.imul(n, 0x9e3779b9)
  z = Math.imul(z ^ (z >>> 16), 0x85ebca6b)
  z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35)
  return (z ^ (z >>> 16)) >>> 24
}
beforeEach(() => {
  vi.spyOn(crypto, 'getRandomValues').mockImplementation((bytes) => {
    const all = bytes as Uint8Array
    for (const i of all.keys()) all[i] = mixed(++drawn)
    return bytes
  })
  vi.spyOn(crypto, 'randomUUID').mockImplementation(
    () => `00000000-0000-4000-8000-${String(++drawn).padStart(12, '0')}`,
  )
})
afterEach(() => vi.restoreAllMocks())

function begin(skews: readonly number[], isStrict: boolean): Run {
  drawn = 0
  const wins = new Map<string, number>()
  const run: Run = {
    wins,
    told: new Map(),
    devices: [],
    world: openWorld({
      teams: (who) => run.devices[Number(who)]!.teams,
      options: {
        collections: {
          task: {
            fields: { team: 'lww', title: 'lww', done: 'lww', budget: isStrict ? 'strict' : 'lww' },
            scope: ({ team }: Task) => `acme/team:${team}`,
            apply: async (_: unknown, all: readonly Win[]) => {
              for (const { op } of all) wins.set(op, (wins.get(op) ?? 0) + 1)
            },
          },
          note: { fields: { text: 'lww' }, scope: () => 'acme' },
        } as never,
      },
    }),
  }
  for (const [i, skewMs] of skews.entries()) {
    const device = { store: memoryStore(), skewMs, who: String(i), teams: ['1', '2'] } as Device
    run.devices.push(device)
    open(run, device)
  }
  return run
}

function open({ world }: Run, device: Device): void {
  const { clock } = world
  const own = { ...clock, now: () => clock.now() + device.skewMs, monotonic: () => clock.monotonic() }
  device.client = world.device(device.who, { clock: own, store: device.store })
}

async function edit(
  run: Run,
  { client }: Device,
  id: string,
  t: 'put' | 'patch' | 'delete',
  set: Partial<Task>,
): Promise<void> {
  const tasks = client.collection<Task>('task')
  const { op, settled } =
    t === 'put' ? await tasks.put(id, set as Task) : t === 'patch' ? await tasks.patch(id, set) : await tasks.delete(id)
  void settled.then(({ status }) => run.told.set(op, status))
}

async function syncIn(run: Run, { client }: Device, weather: Weather): Promise<void> {
  let asked = 0
  // From the second request on: so a push may be fine, and a pull lost.
  run.world.weather = () => (asked++ === 0 && weather !== 'down' ? 'fine' : weather)
  const ended = client.sync().catch((error) => expect(error.code).toBe('OFFLINE'))
  await settleClock(run, ended)
  run.world.weather = 'fine'
}

async function settleClock({ world }: Run, ended: Promise<unknown>): Promise<void> {
  const over = new AbortController()
  void ended.finally(() => over.abort())
  while (!over.signal.aborted) {
    await new Promise((resolve) => setImmediate(resolve))
    await world.clock.advance(50)
  }
}

type Step = (run: Run) => unknown
const device = fc.nat(2)
const id = fc.constantFrom(...IDS)
const doc = fc.record({ team: fc.constantFrom('1', '2'), title: fc.constantFrom('a', 'b', 'c'), budget: fc.nat(3) })
const field = fc.constantFrom<keyof Task>('team', 'title', 'budget')
const weather = fc.constantFrom<Weather>('fine', 'fine', 'no request', 'no answer', 'down')

function step<A extends readonly unknown[]>(
  name: string,
  given: { readonly [K in keyof A]: fc.Arbitrary<A[K]> },
  run: (run: Run, ...args: A) => unknown,
): fc.Arbitrary<Step> {
  return fc.tuple(...given).map((args) => {
    const text = `${name}(${JSON.stringify(args).slice(1, -1)})`
    return Object.assign((on: Run) => run(on, ...(args as unknown as A)), { [fc.toStringMethod]: () => text })
  })
}

const steps = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: step('put', [device, id, doc], (run, d, i, set) => edit(run, run.devices[d]!, i, 'put', set)),
    },
    {
      weight: 6,
      arbitrary: step('patch', [device, id, field, doc], (run, d, i, name, set) =>
        edit(run, run.devices[d]!, i, 'patch', { [name]: set[name as 'team'] }),
      ),
    },
    { weight: 2, arbitrary: step('delete', [device, id], (run, d, i) => edit(run, run.devices[d]!, i, 'delete', {})) },
    { weight: 8, arbitrary: step('sync', [device, weather], (run, d, how) => syncIn(run, run.devices[d]!, how)) },
    {
      weight: 3,
      arbitrary: step('wait', [fc.integer({ min: 1, max: HOUR })], ({ world }, ms) => world.clock.advance(ms)),
    },
    {
      weight: 1,
      arbitrary: step(
        'set',
        [device, fc.integer({ min: -48 * HOUR, max: 48 * HOUR })],
        ({ devices }, d, skewMs) => void (devices[d]!.skewMs = skewMs),
      ),
    },
    {
      weight: 2,
      arbitrary: step('restart', [device], async (run, d) => {
        const all = [...(await run.devices[d]!.store.load())]
        const store = memoryStore()
        await store.update([], () => all)
        run.devices[d]!.store = store
        open(run, run.devices[d]!)
      }),
    },
    {
      weight: 2,
      arbitrary: step('server', [id, fc.constantFrom('1', '2'), doc], ({ world }, i, team, { title }) =>
        world.sync.write([{ c: 'task', x: { t: 'patch', id: i, set: { title } }, scope: `acme/team:${team}` }]),
      ),
    },
    { weight: 1, arbitrary: step('rebase', [], ({ world }) => world.sync.rebase()) },
    {
      weight: 2,
      arbitrary: step(
        'sees',
        [device, fc.subarray(['1', '2'], { minLength: 1 })],
        ({ devices }, d, teams) => void (devices[d]!.teams = teams),
      ),
    },
    {
      weight: 2,
      arbitrary: step(
        'decide',
        [device, fc.constantFrom('retry', 'discard', 'keepMine')],
        async ({ devices }, d, how) => {
          for (const issue of devices[d]!.client.issues()) await issue[how]()
        },
      ),
    },
  ),
  { minLength: 20, maxLength: 80, size: 'max' },
)
const skews = fc.array(fc.integer({ min: -48 * HOUR, max: 48 * HOUR }), { minLength: 3, maxLength: 3 })

const text = (all: readonly { readonly id: string; readonly doc: unknown }[]): string =>
  all
    .map(({ id, doc }) => `${id} ${canonical(doc as Json)}`)
    .toSorted()
    .join('\n')

test.each([
  ['lww', false],
  ['strict', true],
])('once it is quiet all devices show what the server has (%s)', { timeout: 900_000 }, async (_, isStrict) => {
  await fc.assert(
    fc.asyncProperty(skews, steps, async (given, all) => {
      const run = begin(given, isStrict)
      for (const one of all) await one(run)
      for (const each of run.devices) {
        for (let tries = 0; each.client.pending().count > 0 || tries === 0; tries++) {
          expect(tries).toBeLessThan(20)
          await settleClock(run, each.client.sync())
        }
        for (const issue of each.client.issues()) await issue.discard()
      }
      for (const each of run.devices) {
        await settleClock(run, each.client.sync())
        const fresh = run.world.device(each.who)
        await settleClock(run, fresh.sync())
        const shown = await each.client.collection('task').all()
        expect(text(shown)).toBe(text(await fresh.collection('task').all()))
        expect(shown.filter(({ pending }) => pending)).toEqual([])
        for (const { doc } of shown) expect(each.teams).toContain((doc as Task).team)
      }
      for (const [op, count] of run.wins) expect([op, count]).toEqual([op, 1])
    }),
    { numRuns: 60 * LONG },
  )
})
