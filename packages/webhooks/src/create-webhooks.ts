import { randomUUID } from 'node:crypto'
import { checkOptions, context, isScope, opt } from '@keelson/kernel'
import { createGuardedStore } from '@keelson/kernel/guarded-store'
import { createLifecycle } from '@keelson/kernel/lifecycle'
import { createAudiences } from './audiences.ts'
import { createEncryption } from './encryption.ts'
import { isName, SETTINGS } from './endpoint-config.ts'
import type { Engine } from './engine.ts'
import { optionFailure, WebhookError } from './error.ts'
import type { Handler } from './handlers.ts'
import { checkMembers, checkObject, checkScope, inputFailure, shown } from './input.ts'
import type { Management } from './management.ts'
import { createWebhookMetrics } from './metrics.ts'
import { createNotices, operationalEvents } from './notices.ts'
import { checkWebhooksOptions } from './options.ts'
import { isTypePattern, patternAllowed } from './patterns.ts'
import { createPublishing } from './publishing.ts'
import { createEndpointReader, createSettings, handlerSettings, rulesOf } from './settings.ts'
import type { StoreStatus } from './store.ts'
import { statusOf } from './status.ts'
import type { EventCatalog, HandlerOptions, OperationalNotice, Webhooks, WebhooksOptions } from './webhooks.ts'

const STOP = { drain: opt.duration('10s') }
const RUN_ONCE = { budget: opt.duration('1m') }
/** Numbers for metrics are asked for again when they are older. */
const SNAPSHOT_MS = 5_000
const NO_SLOTS = { fast: 0, slow: 0 }

const ENDPOINTS = [
  'create',
  'get',
  'list',
  'update',
  'delete',
  'pause',
  'resume',
  'disable',
  'enable',
  'rotateSecret',
  'secrets',
  'publicKeys',
  'ping',
] as const
const DELIVERIES = ['get', 'list', 'attempts', 'retry', 'redrive', 'redriveStatus', 'cancel'] as const

/**
 * Webhooks of an application: events that are committed with its rows, and their delivery.
 * @throws WebhookError OPTION_INVALID
 */
export function createWebhooks<const C extends EventCatalog = EventCatalog>(options: WebhooksOptions<C>): Webhooks<C> {
  const checked = checkWebhooksOptions(options)
  const { store, network, dispatcher: dispatch, clock, logger } = checked
  const encryption = createEncryption(checked.encryption)
  const guarded = createGuardedStore({
    name: 'webhooks',
    store,
    timeoutMs: checked.storeTimeout,
    away: (message, more) => new WebhookError('STORE_UNAVAILABLE', `the store of webhooks is away: ${message}`, more),
    clock,
    logger,
  })
  const settingsOf = createSettings(checked.endpoint, network.timeout)
  const readEndpoint = createEndpointReader(settingsOf, dispatch.leaseMargin)
  const handlers = new Map<string, Handler>()
  const audiences = createAudiences((scope) => guarded.work(() => store.audience(scope)))
  let snapshot: StoreStatus | undefined
  let snapshotMs = -Infinity
  const counts = () => snapshot?.counts
  const metrics = createWebhookMetrics({
    pending: () => counts()?.pending ?? 0,
    delivering: () => counts()?.delivering ?? 0,
    held: () => counts()?.held ?? 0,
    unrouted: () => counts()?.unrouted ?? 0,
    oldestDueSeconds: () => (snapshot?.oldestDueMs ?? 0) / 1_000,
    endpointsDisabled: () => counts()?.endpointsDisabled ?? 0,
    slotsFast: () => slots().fast,
    slotsSlow: () => slots().slow,
  })

  const publishing = createPublishing({
    store,
    call: guarded.ask,
    catalog: checked.events,
    maxPayloadBytes: checked.maxPayloadBytes,
    audiences,
    wake,
    metrics,
    clock,
    logger,
  })

  const notices = createNotices({
    logger,
    forward(notice) {
      const { operationalScope } = checked
      // One event of ours for each that was delivered would double them all; one about itself would never end.
      if (operationalScope === undefined || notice.scope === operationalScope) return
      if (notice.name === 'delivery.succeeded') return
      void context
        .resume({}, () => publishing.own(`webhooks.${notice.name}`, notice, { scope: operationalScope }))
        .catch((error: unknown) => logger.warn({ err: error, notice: notice.name }, 'an operational event was lost'))
    },
  })

  function wake(): void {
    engine?.wake()
  }
  const slots = () => engine?.slots ?? NO_SLOTS

  // What sends is loaded by those who send.
  let engine: Engine | undefined
  async function openEngine(): Promise<Engine> {
    const { createEngine } = await import('./engine.ts')
    return (engine ??= createEngine({
      store,
      guarded,
      audiences,
      owner: randomUUID(),
      handlers,
      readEndpoint,
      network,
      retention: {
        attemptsMs: checked.retention.attempts,
        deliveriesMs: checked.retention.deliveries,
        eventsMs: checked.retention.events,
        heldMs: checked.retention.held,
      },
      ...dispatch,
      encryption,
      headerPrefix: checked.headerPrefix,
      propagate: checked.propagate,
      isRunning: () => lifecycle.running,
      tell,
      random: Math.random,
      metrics,
      clock,
      logger,
    }))
  }
  const lifecycle = createLifecycle({
    begin: async () => (await openEngine()).begin(),
    end: async (drainMs) => engine?.end(drainMs),
    interrupt: (drainMs) => engine?.interrupt(drainMs),
    async release() {
      guarded.guard.close()
      await store.close()
    },
    closed: () => new WebhookError('CLOSED', 'these webhooks were closed'),
  })
  const { checkOpen } = lifecycle

  function tell(notice: OperationalNotice): void {
    const { name, reason = '' } = notice
    if (name === 'delivery.succeeded') metrics.finals.inc({ status: 'succeeded', reason: '' })
    if (name === 'delivery.dead') {
      metrics.finals.inc({ status: 'dead', reason })
      logger.warn({ ...notice }, 'webhooks.delivery_dead')
    }
    if (name === 'endpoint.disabled') logger.warn({ ...notice }, 'webhooks.endpoint_disabled')
    notices.tell(notice)
  }

  // Loaded at the first call: most processes never make one.
  let management: Management | undefined
  async function openManagement(): Promise<Management> {
    const { createManagement } = await import('./management.ts')
    return (management ??= createManagement({
      store,
      call: guarded.ask,
      work: guarded.work,
      encryption,
      network,
      settingsOf,
      configOf: (config) => readEndpoint(config).config,
      leaseMargin: dispatch.leaseMargin,
      maxPerScope: checked.maxEndpointsPerScope,
      handlerRow(scope, id) {
        const handler = id.startsWith('fn:') ? handlers.get(id.slice(3)) : undefined
        if (handler === undefined) return undefined
        return { scope, id, state: 'active', disabledReason: null, config: '', secrets: [], rules: handler.rules }
      },
      ping: ({ scope, id }) => publishing.own('webhooks.ping', { endpoint: id }, { scope, endpoint: id }),
      changed: wake,
      cancelled: (reason, count) => metrics.finals.inc({ status: 'cancelled', reason }, count),
      notify: tell,
      clock,
    }))
  }

  /** A part of it by the names of its methods; each refuses what is closed. */
  function lazily<K extends keyof Management, M extends keyof Management[K] & string>(
    part: K,
    methods: readonly M[],
  ): Pick<Management[K], M> {
    const all = methods.map((method) => {
      const call = async (...args: unknown[]) => {
        checkOpen()
        const { [part]: api } = management ?? (await openManagement())
        return (api[method] as (...given: unknown[]) => Promise<unknown>)(...args)
      }
      return [method, call] as const
    })
    return Object.fromEntries(all) as Pick<Management[K], M>
  }

  async function setPaused(ownerName: string, q: { readonly scope?: string }, paused: boolean): Promise<void> {
    checkOpen()
    checkMembers(ownerName, q, ['scope'])
    // `undefined` would stop everybody.
    if (Object.hasOwn(q, 'scope')) checkScope(ownerName, q.scope)
    await guarded.ask(() => store.pause(q.scope ?? null, paused))
    if (!paused) wake()
  }

  const webhooks: Webhooks<C> = {
    event(type, data, o) {
      checkOpen()
      return publishing.event(type, data, o)
    },
    async send(type, data, options) {
      checkOpen()
      const { tx, ...o } = checkObject('send', options)
      const [sent] = await publishing.send([{ ...o, type, data }], tx)
      return sent!
    },
    async sendMany(events, options = {}) {
      checkOpen()
      checkMembers('sendMany', options, ['tx'])
      const { tx } = options
      return publishing.send(events, tx)
    },

    handle(name: string, o: HandlerOptions, fn: unknown) {
      checkOpen()
      if (lifecycle.running) throw optionFailure(`handle: '${name}' comes too late: start() was called`)
      if (typeof name !== 'string' || !/^[A-Za-z0-9_-]{1,64}$/.test(name)) {
        throw optionFailure(`handle: "name" must be 1 to 64 of A-Z a-z 0-9 _ - (got ${shown(name)})`)
      }
      if (handlers.has(name)) throw optionFailure(`handle: there is a handler '${name}' already`)
      if (typeof fn !== 'function') throw optionFailure(`handle: "fn" must be a function`)
      const { types, scope, ...settings } = o ?? {}
      if (!Array.isArray(types) || types.length === 0 || !types.every(isTypePattern)) {
        throw optionFailure(`handle: "types" must be an array of patterns: ${patternAllowed}`)
      }
      if (scope !== undefined && !isScope(scope)) throw optionFailure('handle: "scope" must be a scope: 1 to 128 bytes')
      const { concurrency, timeout, retry } = SETTINGS
      const own = checkOptions('handle', settings, { concurrency, timeout, retry }, optionFailure)
      const resolved = handlerSettings(settingsOf(own))
      const rules = rulesOf(resolved, dispatch.leaseMargin)
      handlers.set(name, { name, types, scope: scope ?? null, settings: resolved, rules, fn: fn as Handler['fn'] })
    },

    endpoints: lazily('endpoints', ENDPOINTS),
    events: lazily('events', ['get']),
    deliveries: lazily('deliveries', DELIVERIES),
    signingKeys: lazily('signingKeys', ['create', 'rotate', 'revoke', 'list', 'resolve']),
    eraseSubject: lazily('events', ['eraseSubject']).eraseSubject,
    async *exportSubject(scope, subject) {
      checkOpen()
      yield* (await openManagement()).events.exportSubject(scope, subject)
    },

    pause: async (q = {}) => setPaused('pause', q, true),
    resume: async (q = {}) => setPaused('resume', q, false),

    on(name, fn) {
      if (!operationalEvents.includes(name)) {
        throw inputFailure(`on: "name" must be one of ${operationalEvents.join(', ')} (got ${shown(name)})`)
      }
      if (typeof fn !== 'function') throw inputFailure(`on: "fn" must be a function (got ${shown(fn)})`)
      return notices.on(name, fn)
    },

    start: lifecycle.start,
    stop: async (o) => lifecycle.stop(checkOptions('stop', o, STOP, optionFailure).drain),
    async runOnce(o) {
      checkOpen()
      const { budget: budgetMs } = checkOptions('runOnce', o, RUN_ONCE, optionFailure)
      return lifecycle.alone(
        async () => (await openEngine()).once(budgetMs),
        () => inputFailure('runOnce: these webhooks run already'),
      )
    },

    async inspect() {
      try {
        snapshot = await guarded.ask(() => store.inspect())
        snapshotMs = clock.monotonic()
      } catch {}
      return statusOf(guarded.guard, snapshot, slots())
    },
    metrics() {
      refresh()
      return metrics.families()
    },
    async trace(correlationId) {
      if (!isName(correlationId)) return []
      const rows = await guarded.ask(() => store.events.trace(correlationId))
      return rows.map(({ atMs, kind, text }) => ({ at: atMs, kind: `webhook.${kind}`, text }))
    },
    close: lifecycle.close,
    [Symbol.asyncDispose]: lifecycle.close,
  }

  /** Gauges of the store are as old as the last reading, at most. */
  function refresh(): void {
    if (!lifecycle.running || clock.monotonic() - snapshotMs < SNAPSHOT_MS) return
    snapshotMs = clock.monotonic()
    void guarded
      .work(() => store.inspect())
      .then((status) => {
        snapshot = status
      })
      .catch(() => {})
  }

  return webhooks
}
