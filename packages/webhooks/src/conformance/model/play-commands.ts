import type { Tools } from '@keelson/kernel/conformance'
import { virtualClock } from '@keelson/kernel/testing'
import type { LaneRules } from '../../lane.ts'
import { memoryStore } from '../../memory.ts'
import type { ClaimToken, NewEvent, Retention, Settlement, Unrouted, WebhookStore } from '../../store.ts'
import {
  attempt,
  endpointRow,
  failed,
  FOREVER,
  given,
  laneRules,
  LONG_MS,
  newEvent,
  nextId,
  released,
} from '../stage.ts'
import type { Command } from './commands.ts'
import { shownClaim, shownStore, type Instant } from './shown.ts'

const SCOPES = ['acme', 'other'] as const
const SUBJECTS = ['ada', 'bob'] as const
const HANDLERS = ['mail'] as const
/** Over after each lapse, on any clock; what is settled later than that without one is settled all the same. */
const LEASE_MS = 40
/** Each command has an instant of its own. */
const STEP_MS = 2

/** What commands are played on: an empty store. `has` 'elapse': its time is exactly what `elapse` makes it. */
export interface Played extends Pick<Tools, 'equal' | 'has'> {
  readonly store: WebhookStore
  readonly peer: WebhookStore
  elapse(ms: number): Promise<void>
  now(): Promise<number>
}

/** Endings by chance. */
const ENDINGS: readonly (() => Partial<Settlement>)[] = [
  () => ({}),
  () => ({}),
  () => ({}),
  () => ({}),
  () => ({ signal: { kind: 'success', fast: false } }),
  () => failed(0),
  () => failed(0),
  () => failed(LONG_MS),
  () => failed(0, { kind: 'timeout' }),
  () => failed(0, { kind: 'slow-down', blockMs: LONG_MS }),
  () => failed(0, { kind: 'slow-down', blockMs: 0 }),
  () => released(),
  () => released(LONG_MS),
  () => ({ ...released(LONG_MS), signal: { kind: 'no-key', blockMs: LONG_MS } }),
  () => given('exhausted'),
  () => given('refused'),
  () => given('gone'),
  () => ({ rules: laneRules({ concurrency: 2, leaseMs: LEASE_MS }) }),
]

/** Rules by chance: no time of them is over but by a 'wait'. */
const RULES: readonly Partial<LaneRules>[] = [
  {},
  { concurrency: 8 },
  { concurrency: 1 },
  { rate: { limit: 3, perMs: 3 * LONG_MS } },
  { breaker: { failures: 2, cooldownMs: LONG_MS, maxCooldownMs: 3 * LONG_MS } },
  { disableAfterMs: STEP_MS / 2 },
]

/** Plays commands on a store and on the memory store; all that they answer and show must be the same. */
export async function playCommands(commands: readonly Command[], played: Played): Promise<void> {
  const { equal } = played
  const clock = virtualClock()
  const model = memoryStore({ clock })
  const exact = played.has.includes('elapse')
  const stores = [played.store, model] as const
  const history: string[] = []
  const events: NewEvent[] = []
  const endpoints: { scope: string; id: string }[] = []
  const deliveries: { scope: string; id: string }[] = []
  /** Of each claim what both stores gave, latest last. */
  const tokens: (readonly [ClaimToken, ClaimToken])[] = []

  const oneOf = <T>(of: readonly T[], choice: number): T | undefined => of[Math.floor(choice * of.length)]
  const said = (): string => `\n${history.join('\n')}\nthe model's is expected, the store's was got`

  async function elapse(ms: number): Promise<void> {
    await clock.advance(ms)
    await played.elapse(ms)
  }

  /** The same to both stores; the answers must be the same. */
  async function both<T>(what: string, call: (store: WebhookStore, which: 0 | 1) => Promise<T>, peer = false) {
    history.push(what)
    const theirs = await call(peer ? played.peer : played.store, 0)
    const ours = await call(model, 1)
    return [theirs, ours] as const
  }
  async function same<T>(what: string, call: (store: WebhookStore, which: 0 | 1) => Promise<T>): Promise<T> {
    const [theirs, ours] = await both(what, call)
    equal(theirs, ours, said())
    return ours
  }

  function matches({ event }: Unrouted, audience: readonly string[]): { id: string; endpoint: string }[] {
    const to = event.endpoint === undefined ? audience : [event.endpoint]
    const made = to.map((endpoint) => ({ id: nextId('dl'), endpoint }))
    deliveries.push(...made.map(({ id }) => ({ scope: event.scope, id })))
    return made
  }

  async function audience(scope: string): Promise<string[]> {
    const { endpoints, handlers } = await model.audience(scope)
    return [...endpoints.map(({ id }) => id), ...handlers.map(({ name }) => `fn:${name}`)]
  }

  async function route(dies: boolean): Promise<void> {
    const leaseMs = dies ? 1 : LONG_MS
    const [theirs, ours] = await both('take', (store) => store.takeUnrouted(1_000, leaseMs))
    const shown = (taken: readonly Unrouted[]) =>
      SCOPES.map((scope) => taken.filter(({ event }) => event.scope === scope).map(({ event }) => event.id))
    equal(shown(theirs), shown(ours), said())
    if (dies) return
    const made = new Map<string, { id: string; endpoint: string }[]>()
    for (const unrouted of ours) {
      made.set(unrouted.event.id, matches(unrouted, await audience(unrouted.event.scope)))
    }
    await same(`route ${ours.length}`, (store, which) =>
      store.route(
        (which === 0 ? theirs : ours).map(({ event, token, revision }) => ({
          scope: event.scope,
          event: event.id,
          token,
          matched: { revision, deliveries: made.get(event.id)! },
        })),
      ),
    )
  }

  async function publish(command: Extract<Command, { kind: 'publish' }>): Promise<void> {
    const scope = command.scope < 0.8 ? SCOPES[0] : SCOPES[1]
    const to = command.to < 0.4 ? undefined : oneOf(endpoints, (command.to - 0.4) / 0.6)
    const key = ['a', 'b', undefined, undefined][Math.floor(command.key * 4)]
    const subject = oneOf(SUBJECTS, command.how)
    const event = newEvent({
      scope: to?.scope ?? scope,
      ...(to === undefined ? {} : { endpoint: to.id }),
      ...(key === undefined ? {} : { key }),
      ...(subject === undefined || command.how > 0.5 ? {} : { subject }),
    })
    events.push(event)
    const isMatched = command.how > 0.3 && command.how < 0.6 && to !== undefined
    const made = { id: nextId('dl'), endpoint: to?.id ?? '' }
    if (isMatched) deliveries.push({ scope: event.scope, id: made.id })
    await same(
      `publish ${event.id} of ${event.scope} to ${to?.id ?? 'all'}, key ${key}${isMatched ? ', matched' : ''}`,
      async (store) => {
        if (!isMatched) return store.publish([event])
        const { revision } = await store.audience(event.scope)
        return store.publish([{ ...event, matched: { revision, deliveries: [made] } }])
      },
    )
  }

  async function claim({ suspects, handlers, peer }: Extract<Command, { kind: 'claim' }>): Promise<void> {
    const q = { limit: 1_000, owner: 'node', suspects, handlers: handlers ? HANDLERS : [] }
    const what = `claim${suspects ? ', suspects' : ''}${handlers ? ', handlers' : ''}`
    const [theirs, ours] = (await both(what, (store) => store.claim(q), peer)).map((claims) =>
      claims.toSorted((a, b) => (a.token.delivery < b.token.delivery ? -1 : 1)),
    )
    equal(theirs!.map(shownClaim), ours!.map(shownClaim), said())
    history.push(`  gives ${ours!.map(({ token }) => `${token.delivery} of ${token.endpoint}`).join(', ')}`)
    tokens.push(...ours!.map(({ token }, i) => [theirs![i]!.token, token] as const))
  }

  async function change(of: { scope: string; id: string }, more: object, heal: boolean): Promise<void> {
    await same(`put ${of.id}: ${JSON.stringify(more)}${heal ? ', healed' : ''}`, async (store) => {
      const found = await store.endpoints.get(of.scope, of.id)
      if (found === null) return null
      const { health: _, revision, createdAtMs: __, updatedAtMs: ___, ...row } = found
      const put = await store.endpoints.put({ ...row, ...more }, revision, heal)
      return put === null || put === 'conflict' ? put : put.revision
    })
  }

  async function sweep(what: string, retention: Retention): Promise<void> {
    await both(what, async (store) => {
      for (let sweeps = 0; sweeps < 100 && (await store.sweep(100, retention)) > 0; sweeps++);
    })
  }

  async function play(command: Command): Promise<void> {
    switch (command.kind) {
      case 'publish':
        return publish(command)
      case 'repeat': {
        const event = oneOf(events, command.which)
        if (event === undefined) return
        const again = command.changed ? { ...event, digest: 'f'.repeat(64) } : event
        await same(`publish ${event.id} again${command.changed ? ', changed' : ''}`, (store) => store.publish([again]))
        return
      }
      case 'route':
        return route(command.dies)
      case 'claim':
        return claim(command)
      case 'settle': {
        const pair = command.again ? oneOf(tokens, command.which) : tokens.at(-1 - Math.floor(command.which * 4))
        if (pair === undefined) return
        const at = Math.floor(command.how * ENDINGS.length)
        const how = {
          attempt: attempt(),
          end: { kind: 'succeeded' },
          signal: { kind: 'success', fast: true },
          ...ENDINGS[at]!(),
        }
        await same(
          `settle ${pair[1].delivery}: ${JSON.stringify({ ...how, attempt: how.attempt?.outcome })}`,
          (store, which) => store.settle([{ token: pair[which], ...how } as Settlement]),
        )
        // The latest that are not settled stay last.
        if (!command.again) tokens.unshift(...tokens.splice(tokens.indexOf(pair), 1))
        return
      }
      case 'slow': {
        const pair = oneOf(tokens, command.which)
        if (pair !== undefined) await both(`slow ${pair[1].delivery}`, (store, which) => store.slow([pair[which]]))
        return
      }
      case 'retry': {
        const of = oneOf(deliveries, command.which)
        if (of === undefined) return
        await same(`retry ${of.id}`, async (store) => (await store.deliveries.retry(of.scope, of.id))?.status)
        return
      }
      case 'cancel': {
        const of = oneOf(deliveries, command.which)
        if (of !== undefined) await same(`cancel ${of.id}`, (store) => store.deliveries.cancel(of, 10))
        return
      }
      case 'remove': {
        const of = endpoints.length < 3 ? undefined : oneOf(endpoints, command.which)
        if (of === undefined) return
        await same(`remove ${of.id}`, (store) => store.endpoints.remove(of.scope, of.id))
        return sweep('sweep', FOREVER)
      }
      case 'heal': {
        const of = oneOf(endpoints, command.which)
        if (of !== undefined) await change(of, { state: 'active', disabledReason: null }, true)
        return
      }
      case 'state': {
        const of = oneOf(endpoints, command.which)
        const state = oneOf(['active', 'paused', 'disabled'], command.to)
        if (of !== undefined) await change(of, { state, disabledReason: state === 'disabled' ? 'why' : null }, false)
        return
      }
      case 'pause': {
        const scope = oneOf([...SCOPES, null], command.which)!
        await both(`${command.paused ? 'pause' : 'resume'} ${scope}`, (store) => store.pause(scope, command.paused))
        return
      }
      case 'lapse': {
        await elapse(2 * LEASE_MS)
        await same('reap', async (store) => {
          const reaped = await store.reap(1_000)
          return reaped.toSorted((a, b) => (a.delivery < b.delivery ? -1 : 1))
        })
        return
      }
      case 'handler': {
        const types = command.how < 0.5 ? ['**'] : ['*']
        const rules = laneRules({ leaseMs: LEASE_MS })
        await both(`handler ${types[0]}`, (store) =>
          store.registerHandlers([{ name: 'mail', types, scope: null, rules }]),
        )
        return
      }
      case 'endpoint': {
        const scope = SCOPES[command.how < 0.7 ? 0 : 1]
        const rules = oneOf(RULES, (command.how * 10) % 1)
        const row = endpointRow({ ...rules, leaseMs: LEASE_MS }, { scope })
        endpoints.push(row)
        await same(`endpoint ${row.id} in ${scope}: ${JSON.stringify(rules)}`, async (store) => {
          const made = await store.endpoints.insert(row, 1_000)
          return made === 'limit' ? made : made.revision
        })
        return
      }
      case 'redrive': {
        const id = nextId('rd')
        const status = command.how < 0.7 ? 'dead' : 'cancelled'
        const row = { id, scope: SCOPES[0], status, perSecond: 1_000_000 } as const
        await both(`redrive ${id}: ${status}`, (store) => store.deliveries.startRedrive(row))
        await elapse(STEP_MS)
        await same('step', (store) => store.deliveries.redriveStep(1_000))
        await same('its status', (store) => store.deliveries.redriveStatus(SCOPES[0], id))
        return
      }
      case 'erase': {
        const subject = oneOf(SUBJECTS, command.how)!
        await same(`erase ${subject}`, (store) => store.events.erase(SCOPES[0], subject, 1_000))
        return
      }
      case 'sweep':
        return sweep('sweep all that is final', { ...FOREVER, deliveriesMs: 1 })
      case 'wait': {
        if (!exact) return
        history.push(`wait ${command.how}`)
        return elapse(Math.floor(command.how * 2 * LONG_MS))
      }
    }
  }

  async function compare(withAttempts: boolean): Promise<void> {
    const shown = await Promise.all(
      stores.map(async (store) => {
        const nowMs = store === model ? clock.now() : exact ? await played.now() : 0
        const instant: Instant = (ms) => (ms === null || !exact ? ms !== null : ms - nowMs)
        return shownStore(store, SCOPES, HANDLERS, instant, withAttempts)
      }),
    )
    equal(shown[0], shown[1], said())
  }

  for (const command of commands) {
    await elapse(STEP_MS)
    await play(command)
    await compare(false)
  }
  await compare(true)
}
