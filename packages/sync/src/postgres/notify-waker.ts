import { checkOptions, opt, systemClock } from '@keelson/kernel'
import { backoffMs } from '../backoff.ts'
import { SyncError } from '../error.ts'
import { createHints } from '../hints.ts'
import type { Waker } from '../sync.ts'
import { textArray } from './arrays.ts'

/** A connection that listens, as a connected Client of pg is one. */
export interface ListenClient {
  query(text: string, values?: readonly unknown[]): Promise<unknown>
  on(
    event: 'notification',
    fn: (message: { readonly channel: string; readonly payload?: string | undefined }) => void,
  ): unknown
  on(event: 'error', fn: (error: Error) => void): unknown
  on(event: 'end', fn: () => void): unknown
  end(): Promise<void>
}

/** Postgres takes payloads of less than 8,000. */
const TEXT_BYTES = 7_900
const CONNECT_MS = 10_000
/** A silent connection is asked so often whether it lives, and has as long to answer. */
const PING_MS = 5_000
/** What the end of a connection may take. */
const END_MS = 1_000
const SPEC = {
  channel: opt.string('keelson_sync', { match: /^[a-z_][a-z0-9_]{0,62}$/, allowed: 'an SQL identifier in lower case' }),
}

/**
 * Hints between processes by LISTEN and NOTIFY, both on one connection of its own, which `connect` opens and opens again:
 * never a NOTIFY in a business transaction, where all commits would wait for each other. `connect` resolves with a
 * connected Client of pg, straight to the server: a pooler in transaction mode forgets who listens. Without it devices
 * hear of a change by the next look at the store.
 * @throws SyncError OPTION_INVALID
 */
export function notifyWaker(connect: () => Promise<ListenClient>, options: { readonly channel?: string } = {}): Waker {
  const { channel } = checkOptions('notifyWaker', options, SPEC, optionFailure)
  if (typeof connect !== 'function')
    throw optionFailure(`notifyWaker: "connect" must be a function (got ${typeof connect})`)
  const hints = createHints(async (texts) => {
    const values = [channel, textArray(texts)]
    await live?.query('select pg_notify($1, g.text) from unnest($2::text::text[]) as g(text)', values)
  }, TEXT_BYTES)
  const listeners: ((scopes: readonly string[]) => void)[] = []
  const closing = new AbortController()
  let live: ListenClient | undefined
  let failures = 0
  let running: Promise<void> | undefined

  async function run(): Promise<void> {
    while (!closing.signal.aborted) {
      await session().catch(() => {})
      if (!closing.signal.aborted) await unlessClosed(pause(backoffMs(failures++)))
    }
  }

  /** From a connection to its end. */
  async function session(): Promise<void> {
    const client = await opened()
    if (client === undefined) return
    const gone = Promise.withResolvers<void>()
    client.on('error', () => gone.resolve())
    client.on('end', () => gone.resolve())
    client.on('notification', ({ channel: name, payload = '' }) => {
      if (name === channel) hear(payload)
    })
    try {
      await unlessClosed(answered(client, `listen ${channel}`, CONNECT_MS))
      live = client
      failures = 0
      await unlessClosed(Promise.race([gone.promise, silence(client)]))
    } finally {
      live = undefined
      await end(client)
    }
  }

  /** Undefined where it takes too long, or nobody wants it any more; what comes then all the same is ended. */
  async function opened(): Promise<ListenClient | undefined> {
    const connecting = (async () => connect())()
    const client = await unlessClosed(Promise.race([connecting, pause(CONNECT_MS)]))
    if (client === undefined) void connecting.then(end, () => {})
    return client as ListenClient | undefined
  }

  /** Rejects when nobody answers. */
  async function silence(client: ListenClient): Promise<void> {
    for (;;) {
      await pause(PING_MS)
      if (live !== client) return
      await answered(client, 'select 1', PING_MS)
    }
  }

  /** Until it settles, or all is closed. */
  async function unlessClosed<T>(promise: Promise<T>): Promise<T | void> {
    const closed = Promise.withResolvers<void>()
    const onClose = (): void => closed.resolve()
    if (closing.signal.aborted) onClose()
    closing.signal.addEventListener('abort', onClose)
    try {
      return await Promise.race([promise, closed.promise])
    } finally {
      closing.signal.removeEventListener('abort', onClose)
    }
  }

  function hear(payload: string): void {
    const scopes = hints.read(payload)
    if (closing.signal.aborted || scopes.length === 0) return
    for (const listener of listeners) listener(scopes)
  }

  return {
    wake(scopes) {
      if (live !== undefined) hints.tell(scopes)
    },
    on(fn) {
      if (closing.signal.aborted) return
      listeners.push(fn)
      running ??= run()
    },
    async close() {
      closing.abort()
      await running
    },
  }
}

/** pg breaks a connection off on which a question is open; on any other it waits for the server, which may be frozen. */
async function end(client: ListenClient): Promise<void> {
  client.on('error', () => {})
  await answered(client, 'select 1', END_MS).catch(() => {})
  await Promise.race([client.end().catch(() => {}), pause(END_MS)])
}

async function answered(client: ListenClient, text: string, limitMs: number): Promise<void> {
  const late = pause(limitMs).then(() => Promise.reject(new Error(`Postgres did not answer in ${limitMs} ms`)))
  await Promise.race([client.query(text), late])
}

/** Keeps no process alive. */
const pause = (ms: number): Promise<void> => new Promise((resolve) => void systemClock.timer(resolve, ms))

const optionFailure = (message: string): SyncError => new SyncError('OPTION_INVALID', message)
