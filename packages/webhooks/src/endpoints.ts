import type { Clock } from '@keelson/kernel'
import { writePageCursor } from '@keelson/kernel/page-cursor'
import type { Encryption } from './encryption.ts'
import { MEMBERS, SETTINGS, type EndpointConfig } from './endpoint-config.ts'
import { endpointView } from './endpoint-view.ts'
import type { EndpointInput } from './endpoint.ts'
import { WebhookError } from './error.ts'
import { endpointId } from './ids.ts'
import {
  checkDuration,
  checkInput,
  checkMembers,
  checkName,
  checkObject,
  checkRef,
  checkScope,
  inputFailure,
  shown,
} from './input.ts'
import type { CheckedNetwork } from './network-options.ts'
import { secretOwner } from './opened-secrets.ts'
import { checkLimit, readCursor } from './paging.ts'
import { judgeUrl } from './safe-agent/check-url.ts'
import { rulesOf, type SettingsOf } from './settings.ts'
import { generateSecret } from './signing/generate-secret.ts'
import { publicKeysOf } from './signing/public-keys.ts'
import { parseSecret } from './signing/secret.ts'
import type { EndpointRow, SealedSecret, StoredEndpoint, WebhookStore } from './store.ts'
import type { Endpoints, OperationalNotice, Ref } from './webhooks.ts'

/** What the endpoints of an application are managed with. */
export interface EndpointParts {
  readonly store: Pick<WebhookStore, 'endpoints'>
  call<T>(fn: () => Promise<T>): Promise<T>
  readonly encryption: Encryption
  readonly network: CheckedNetwork
  readonly settingsOf: SettingsOf
  readonly configOf: (config: string) => EndpointConfig
  readonly leaseMargin: number
  readonly maxPerScope: number
  /** The row of a handler's lane that no event has reached yet; undefined for none. */
  handlerRow(scope: string, id: string): EndpointRow | undefined
  ping(ref: Ref): Promise<{ id: string }>
  /** Somebody changed who may be called. */
  changed(): void
  notify(notice: OperationalNotice): void
  readonly clock: Clock
}

const OVERLAP_MS = 24 * 60 * 60 * 1_000
const MAX_OVERLAP_MS = 30 * OVERLAP_MS
/** As many as sign; older ones are dropped first. */
const MAX_SECRETS = 10
/** Of a change that meets another one. */
const TRIES = 5

export function createEndpoints(o: EndpointParts): Endpoints {
  const { store, call, encryption, settingsOf, configOf } = o

  const viewOf = (row: StoredEndpoint) =>
    endpointView(row, row.config === '' ? undefined : configOf(row.config), settingsOf, o.clock)

  /** @throws WebhookError INPUT_INVALID, URL_REFUSED */
  function checkConfig(owner: string, given: object): EndpointConfig & { readonly secret?: string } {
    const checked = checkInput(owner, given, { ...MEMBERS, ...SETTINGS })
    if (checked.url === undefined) throw inputFailure(`${owner}: "url" is required`)
    const verdict = judgeUrl(checked.url, o.network)
    if (!verdict.allowed) {
      throw new WebhookError('URL_REFUSED', `${owner}: "url" is refused: ${verdict.reason}`, {
        details: { reason: verdict.reason },
      })
    }
    return { ...checked, url: checked.url, types: checked.types ?? ['**'] } as EndpointConfig
  }

  function rowOf(
    base: Pick<EndpointRow, 'scope' | 'id' | 'state' | 'disabledReason' | 'secrets'>,
    config: EndpointConfig,
  ) {
    const text = JSON.stringify(config)
    return { ...base, config: text, rules: rulesOf(settingsOf(config), o.leaseMargin) }
  }

  async function read(owner: string, given: unknown): Promise<StoredEndpoint> {
    const { scope, id } = checkRef(owner, given)
    const row = await call(() => store.endpoints.get(scope, id))
    if (row !== null) return row
    // A handler's lane may be paused before its first event.
    const lane = o.handlerRow(scope, id)
    if (lane === undefined) throw notFound(owner, id)
    await call(() => store.endpoints.insert(lane, 0))
    return read(owner, given)
  }

  /** Reads, changes and writes; begins again when somebody else was faster, unless it must be this revision. */
  async function change(
    owner: string,
    given: Ref,
    to: (row: StoredEndpoint) => EndpointRow | Promise<EndpointRow>, // the row itself: nothing to change
    how: { readonly revision?: number | undefined; readonly heal?: boolean } = {},
  ): Promise<StoredEndpoint> {
    for (let tries = 1; ; tries++) {
      const row = await read(owner, given)
      const stale = how.revision !== undefined && how.revision !== row.revision
      const next = stale ? row : await to(row)
      if (next === row && !stale) return row
      const put = stale ? 'conflict' : await call(() => store.endpoints.put(next, row.revision, how.heal ?? false))
      if (put === null) throw notFound(owner, given.id)
      if (put !== 'conflict') {
        o.changed()
        return put
      }
      if (how.revision !== undefined || tries >= TRIES) {
        throw new WebhookError('REVISION_CONFLICT', `${owner}: ${given.id} has another revision`, {
          details: { revision: row.revision },
        })
      }
    }
  }

  async function setState(
    owner: string,
    ref: Ref,
    state: EndpointRow['state'],
    disabledReason: string | null = null,
    heal = false,
  ) {
    return viewOf(await change(owner, ref, (row) => ({ ...row, state, disabledReason }), { heal }))
  }

  async function move(owner: string, ref: Ref, from: EndpointRow['state'], to: EndpointRow['state']) {
    return viewOf(await change(owner, ref, (row) => (row.state === from ? { ...row, state: to } : row)))
  }

  async function openSecrets(row: StoredEndpoint): Promise<{ secret: string; until: Date | null }[]> {
    const nowMs = o.clock.now()
    const valid = row.secrets.filter(({ untilMs }) => untilMs === null || untilMs > nowMs)
    return Promise.all(
      valid.map(async ({ sealed, untilMs }) => ({
        secret: await encryption.open(sealed, secretOwner(row.scope, row.id)),
        until: untilMs === null ? null : new Date(untilMs),
      })),
    )
  }

  function checkSecret(owner: string, secret: string): void {
    const parsed = parseSecret(secret)
    if (typeof parsed === 'string') throw inputFailure(`${owner}: "secret" ${parsed}`)
  }

  /** Some scheme of an endpoint must have a secret to sign with. */
  function checkSigns(owner: string, config: EndpointConfig, secrets: readonly string[]): void {
    const { signing } = settingsOf(config)
    const kinds = secrets.map((secret) => (secret.startsWith('whsk_') ? 'v1a' : 'v1'))
    if (signing.some((scheme) => kinds.includes(scheme === 'v1a' ? 'v1a' : 'v1'))) return
    throw inputFailure(
      `${owner}: "signing" [${signing.join(', ')}] needs a ${signing.includes('v1a') ? 'whsk_' : 'whsec_'} secret`,
    )
  }

  return {
    async create(given) {
      const owner = 'endpoints.create'
      const { scope, ...input } = (given ?? {}) as EndpointInput & { scope: string }
      checkScope(owner, scope)
      const { secret: own, ...config } = checkConfig(owner, input)
      const { signing } = settingsOf(config)
      const secret = own ?? generateSecret(signing.some((scheme) => scheme !== 'v1a') ? 'v1' : 'v1a')
      checkSecret(owner, secret)
      checkSigns(owner, config, [secret])
      const id = endpointId()
      const sealed = await encryption.seal(secret, secretOwner(scope, id))
      const secrets: SealedSecret[] = [{ sealed, untilMs: null }]
      const row = rowOf({ scope, id, state: 'active', disabledReason: null, secrets }, config)
      const made = await call(() => store.endpoints.insert(row, o.maxPerScope))
      if (made === 'limit') {
        throw new WebhookError(
          'LIMIT_REACHED',
          `${owner}: the scope has "maxEndpointsPerScope" (${o.maxPerScope}) already`,
        )
      }
      o.changed()
      return { ...viewOf(made), secret }
    },

    async get(ref) {
      return viewOf(await read('endpoints.get', ref))
    },

    async list(q) {
      const owner = 'endpoints.list'
      checkMembers(owner, q, ['scope', 'after', 'limit'])
      checkScope(owner, q.scope)
      const limit = checkLimit(owner, q)
      const query = { list: 'endpoints', scope: q.scope }
      const after = readCursor(owner, query, q.after)
      const rows = await call(() =>
        store.endpoints.list(q.scope, { limit: limit + 1, ...(after === undefined ? {} : { after }) }),
      )
      const items = rows.slice(0, limit).map(viewOf)
      return { items, next: rows.length > limit ? writePageCursor(query, items.at(-1)!.id) : null }
    },

    async update(q) {
      const owner = 'endpoints.update'
      checkMembers(owner, q, ['scope', 'id', 'revision', 'set'])
      const { set, revision } = q
      checkMembers(
        `${owner}: "set"`,
        set,
        [...Object.keys(MEMBERS), ...Object.keys(SETTINGS)].filter((name) => name !== 'secret'),
      )
      refuseHandler(owner, q)
      // As a text, of a header or a query, it would be another one each time.
      if (revision !== undefined && !Number.isSafeInteger(revision)) {
        throw inputFailure(`${owner}: "revision" must be the endpoint's, an integer (got ${shown(revision)})`)
      }
      const changed = await change(
        owner,
        q,
        async (row) => {
          const given = Object.entries({ ...configOf(row.config), ...defined(set) })
          const config = checkConfig(owner, Object.fromEntries(given.filter(([, value]) => value !== null)))
          if (set.signing !== undefined && set.signing !== null) {
            checkSigns(
              owner,
              config,
              (await openSecrets(row)).map(({ secret }) => secret),
            )
          }
          return rowOf(row, config)
        },
        { revision },
      )
      return viewOf(changed)
    },

    async delete(ref) {
      const owner = 'endpoints.delete'
      const { scope, id } = checkRef(owner, ref)
      refuseHandler(owner, ref)
      if (!(await call(() => store.endpoints.remove(scope, id)))) throw notFound(owner, id)
      o.changed()
    },

    // What is disabled stays so, with its reason, until somebody enables it.
    pause: async (ref) => move('endpoints.pause', ref, 'active', 'paused'),
    resume: async (ref) => move('endpoints.resume', ref, 'paused', 'active'),
    enable: async (ref) => setState('endpoints.enable', ref, 'active', null, true),

    async disable(q) {
      const owner = 'endpoints.disable'
      checkMembers(owner, q, ['scope', 'id', 'reason'])
      const { reason = 'manual' } = q
      checkName(owner, 'reason', reason)
      const view = await setState(owner, q, 'disabled', reason)
      o.notify({ name: 'endpoint.disabled', scope: view.scope, endpoint: view.id, reason })
      return view
    },

    async rotateSecret(q) {
      const owner = 'endpoints.rotateSecret'
      checkMembers(owner, q, ['scope', 'id', 'overlap', 'secret'])
      refuseHandler(owner, q)
      const overlapMs = checkDuration(owner, 'overlap', q.overlap ?? OVERLAP_MS, MAX_OVERLAP_MS)
      if (q.secret !== undefined) checkSecret(owner, q.secret)
      const untilMs = overlapMs === 0 ? null : Math.ceil(o.clock.now()) + overlapMs
      let secret = ''
      await change(owner, q, async (row) => {
        const config = configOf(row.config)
        secret =
          q.secret ?? generateSecret(settingsOf(config).signing.some((scheme) => scheme !== 'v1a') ? 'v1' : 'v1a')
        const sealed = await encryption.seal(secret, secretOwner(row.scope, row.id))
        const before =
          untilMs === null
            ? []
            : row.secrets.map((old) => ({ ...old, untilMs: Math.min(old.untilMs ?? untilMs, untilMs) }))
        const valid = before.filter((old) => old.untilMs > o.clock.now())
        const texts = await Promise.all(valid.map((old) => encryption.open(old.sealed, secretOwner(row.scope, row.id))))
        checkSigns(owner, config, [secret, ...texts])
        return { ...row, secrets: [{ sealed, untilMs: null }, ...valid].slice(0, MAX_SECRETS) }
      })
      return { secret, previousUntil: untilMs === null ? null : new Date(untilMs) }
    },

    async secrets(ref) {
      refuseHandler('endpoints.secrets', ref)
      return openSecrets(await read('endpoints.secrets', ref))
    },

    async publicKeys(ref) {
      refuseHandler('endpoints.publicKeys', ref)
      const secrets = await openSecrets(await read('endpoints.publicKeys', ref))
      return publicKeysOf(secrets.map(({ secret }) => secret))
    },

    async ping(ref) {
      refuseHandler('endpoints.ping', ref)
      await read('endpoints.ping', ref)
      return o.ping(ref)
    },
  }
}

function notFound(owner: string, id: string): WebhookError {
  return new WebhookError('NOT_FOUND', `${owner}: there is no endpoint '${id.slice(0, 60)}' in this scope`)
}

function refuseHandler(owner: string, ref: Ref): void {
  const { id } = checkObject(owner, ref)
  if (typeof id === 'string' && id.startsWith('fn:'))
    throw inputFailure(`${owner}: '${id}' is a handler, made by the code`)
}

function defined(set: object): object {
  return Object.fromEntries(Object.entries(set).filter(([, value]) => value !== undefined))
}
