import type { LaneRules } from '../../lane.ts'
import type { Claim, ClaimToken, EndpointRow, StoredEndpoint, WebhookStore } from '../../store.ts'

/** Methods that are other than they should be. */
export type Changes = {
  readonly [K in keyof WebhookStore]?: WebhookStore[K] extends (...args: never[]) => unknown
    ? WebhookStore[K]
    : Partial<WebhookStore[K]>
}

/** A store with some methods replaced. */
export function changedStore(store: WebhookStore, changes: Changes): WebhookStore {
  return {
    ...store,
    ...changes,
    endpoints: { ...store.endpoints, ...changes.endpoints },
    events: { ...store.events, ...changes.events },
    deliveries: { ...store.deliveries, ...changes.deliveries },
    signingKeys: { ...store.signingKeys, ...changes.signingKeys },
  } as WebhookStore
}

/** Claims told wrongly. */
export function tellsClaims(store: WebhookStore, wrong: (claim: Claim) => Claim | Promise<Claim>): Changes {
  return { claim: async (q) => Promise.all((await store.claim(q)).map(async (claim) => wrong(claim))) }
}

/** Endpoints that are something else inside than they show. */
export function hidesEndpoints(store: WebhookStore, wrong: (row: EndpointRow) => EndpointRow): Changes {
  const shown = new Map<string, EndpointRow>()
  const keyOf = ({ scope, id }: { scope: string; id: string }): string => `${scope}\n${id}`
  function view(row: StoredEndpoint): StoredEndpoint {
    const as = shown.get(keyOf(row))
    if (as === undefined || row.disabledReason === 'gone' || row.disabledReason === 'failing') return row
    const { state, disabledReason, rules } = as
    return { ...row, state, disabledReason, rules }
  }
  return {
    endpoints: {
      async insert(row, max) {
        const made = await store.endpoints.insert(wrong(row), max)
        if (made === 'limit') return made
        shown.set(keyOf(row), row)
        return view(made)
      },
      async get(scope, id) {
        const found = await store.endpoints.get(scope, id)
        return found && view(found)
      },
      list: async (scope, page) => (await store.endpoints.list(scope, page)).map(view),
      async put(row, revision, heal) {
        const put = await store.endpoints.put(wrong(row), revision, heal)
        if (put === null || put === 'conflict') return put
        shown.set(keyOf(row), row)
        return view(put)
      },
    },
    async settle(all) {
      const settled = await store.settle(
        all.map((each) => {
          const { scope, endpoint: id } = each.token
          const row = shown.get(keyOf({ scope, id }))
          if (each.rules === undefined || row === undefined) return each
          return { ...each, rules: wrong({ ...row, rules: each.rules }).rules }
        }),
      )
      for (const [i, { token, rules }] of all.entries()) {
        const key = keyOf({ scope: token.scope, id: token.endpoint })
        const row = shown.get(key)
        if (settled[i]!.kind === 'ok' && rules !== undefined && row !== undefined) shown.set(key, { ...row, rules })
      }
      return settled
    },
    async claim(q) {
      const claims = await store.claim(q)
      return claims.map((claim) => {
        const { scope, endpoint: id } = claim.token
        return { ...claim, leaseMs: shown.get(keyOf({ scope, id }))?.rules.leaseMs ?? claim.leaseMs }
      })
    },
  }
}

/** Endpoints with other rules than they show. */
export function hidesRules(store: WebhookStore, wrong: (rules: LaneRules) => Partial<LaneRules>): Changes {
  return hidesEndpoints(store, (row) => ({ ...row, rules: { ...row.rules, ...wrong(row.rules) } }))
}

/** A store that forgets, before each claim, those in flight that it should count. */
export function forgetsFlights(
  store: WebhookStore,
  forgets: (token: ClaimToken, byOwner: string, q: { readonly owner: string }) => boolean | Promise<boolean>,
): Changes {
  let flying: { readonly token: ClaimToken; readonly owner: string }[] = []
  return {
    async claim(q) {
      const left = []
      for (const flight of flying) {
        const { delivery, scope } = flight.token
        if ((await store.deliveries.get(scope, delivery))?.status !== 'delivering') continue
        if (!(await forgets(flight.token, flight.owner, q))) {
          left.push(flight)
          continue
        }
        const end = { kind: 'release', afterMs: 1e12 } as const
        await store.settle([{ token: flight.token, attempt: null, end, signal: { kind: 'none' } }])
      }
      const claims = await store.claim(q)
      flying = [...left, ...claims.map(({ token }) => ({ token, owner: q.owner }))]
      return claims
    },
  }
}
