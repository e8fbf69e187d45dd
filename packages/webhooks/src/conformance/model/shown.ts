import type { Claim, DeliveryRow, StoredAttempt, StoredEndpoint, WebhookStore } from '../../store.ts'

/** An instant as two stores can compare it: how far away it is when they share a clock, else only that there is one. */
export type Instant = (ms: number | null) => number | boolean

export function shownClaim({ token, event, endpoint, attempts, spent, suspect }: Claim): unknown {
  const { createdAtMs: _, body, ...rest } = event
  const secrets = endpoint?.secrets.map(({ sealed }) => Buffer.from(sealed).toString('hex'))
  const to = endpoint === null ? null : { config: endpoint.config, secrets }
  const { fence: __, ...of } = token
  return { ...of, event: { ...rest, body: Buffer.from(body).toString() }, to, attempts, spent, suspect }
}

function shownDelivery(row: DeliveryRow, instant: Instant): unknown {
  const { createdAtMs, finishedAtMs, nextAttemptAtMs } = row
  return {
    ...row,
    createdAtMs: instant(createdAtMs),
    finishedAtMs: instant(finishedAtMs),
    nextAttemptAtMs: instant(nextAttemptAtMs),
  }
}

/** What depends on the order of settles in one ms is left out: a rate that is used up is seen by claims. */
function shownEndpoint({ health, createdAtMs, secrets, ...rest }: StoredEndpoint, instant: Instant): unknown {
  const { updatedAtMs: _, ...row } = rest
  const { rateUsedMs: __, blockedUntilMs, openUntilMs, failingSinceMs, ...known } = health
  return {
    ...row,
    secrets: secrets.map(({ sealed }) => Buffer.from(sealed).toString('hex')),
    createdAtMs: instant(createdAtMs),
    health: {
      ...known,
      blockedUntilMs: instant(blockedUntilMs),
      openUntilMs: instant(openUntilMs),
      failingSinceMs: instant(failingSinceMs),
    },
  }
}

function shownAttempt(attempt: StoredAttempt, instant: Instant): unknown {
  const { fence: _, atMs, ...row } = attempt
  return { ...row, atMs: instant(atMs) }
}

/** All that a store shows of these scopes. */
export async function shownStore(
  store: WebhookStore,
  scopes: readonly string[],
  handlers: readonly string[],
  instant: Instant,
  withAttempts: boolean,
): Promise<unknown> {
  const shown = []
  for (const scope of scopes) {
    const deliveries = await allDeliveries(store, scope)
    const endpoints = await store.endpoints.list(scope, { limit: 1_000 })
    const lanes = await Promise.all(handlers.map((name) => store.endpoints.get(scope, `fn:${name}`)))
    const attempts = withAttempts
      ? await Promise.all(deliveries.map(({ id }) => store.deliveries.attempts(scope, id, { limit: 1_000 })))
      : []
    shown.push({
      deliveries: deliveries.map((row) => shownDelivery(row, instant)),
      endpoints: endpoints.map((row) => shownEndpoint(row, instant)),
      lanes: lanes.map((row) => row && shownEndpoint(row, instant)),
      attempts: attempts.map((rows) => rows && rows.map((row) => shownAttempt(row, instant))),
    })
  }
  const due = await store.nextDue({ handlers })
  const { counts } = await store.inspect()
  return { scopes: shown, due: due !== null, counts }
}

async function allDeliveries(store: WebhookStore, scope: string): Promise<DeliveryRow[]> {
  const all: DeliveryRow[] = []
  let after: string | undefined
  do {
    const page = after === undefined ? { limit: 200 } : { after, limit: 200 }
    const { rows, next } = await store.deliveries.list({ scope }, page)
    all.push(...rows)
    after = next ?? undefined
  } while (after !== undefined)
  return all
}
