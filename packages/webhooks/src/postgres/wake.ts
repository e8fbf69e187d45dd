import { systemClock } from '@keelson/kernel'

/** A connection of its own, such as a connected Client of `pg`: it hears of other processes. */
export interface ListenClient {
  query(text: string): Promise<unknown>
  on(event: 'notification' | 'error' | 'end', listener: () => void): unknown
  end(): Promise<void>
}

/** Who is told that something may be due. */
export interface Wake {
  /** Tells this process at once, and the others soon. */
  tell(): void
  on(fn: () => void): Promise<() => Promise<void>>
  close(): Promise<void>
}

/** After a connection was lost. */
const AGAIN_MS = 1_000
/** A server that stands still says neither hello nor goodbye: who hears polls meanwhile, and it ends when it can. */
const PATIENCE_MS = 1_000
/** One message for all that happens in this time: committing one locks out all others that commit one. */
const GATHER_MS = 5

/** Hints within a process, and between processes with `listen`. Losing one costs the time until somebody polls. */
export function createWake(
  channel: string,
  listen: (() => Promise<ListenClient>) | undefined,
  notify: () => Promise<unknown>,
): Wake {
  const wakers = new Set<() => void>()
  let told: { cancel(): void } | undefined
  let client: Promise<ListenClient | undefined> | undefined
  let retry: { cancel(): void } | undefined

  const wakeAll = (): void => {
    for (const waker of wakers) waker()
  }

  function open(): void {
    if (listen === undefined || client !== undefined || wakers.size === 0) return
    const lost = (): void => again(opening)
    const opening = (client = connect(listen, lost).catch(() => {
      lost()
      return undefined
    }))
  }

  async function connect(listen: () => Promise<ListenClient>, lost: () => void): Promise<ListenClient> {
    const made = await listen()
    made.on('error', lost)
    made.on('end', lost)
    made.on('notification', wakeAll)
    try {
      await made.query(`LISTEN ${channel}`)
    } catch (error) {
      // A standby refuses it, and nobody else knows of this connection.
      void made.end().catch(() => {})
      throw error
    }
    return made
  }

  function again(lost: typeof client): void {
    if (client !== lost || lost === undefined) return
    client = undefined
    void lost.then((old) => old?.end()).catch(() => {})
    retry = systemClock.timer(open, AGAIN_MS)
  }

  async function shut(): Promise<void> {
    const old = client
    client = undefined
    retry?.cancel()
    await patiently(old?.then((one) => one?.end()).catch(() => {}))
  }

  return {
    tell() {
      wakeAll()
      if (listen === undefined || told !== undefined) return
      told = systemClock.timer(() => {
        told = undefined
        notify().catch(() => {})
      }, GATHER_MS)
    },
    async on(fn) {
      const waker = (): void => fn()
      wakers.add(waker)
      open()
      // Who hears may rely on it, unless the server is away.
      await patiently(client)
      return async () => {
        wakers.delete(waker)
        if (wakers.size === 0) await shut()
      }
    },
    async close() {
      wakers.clear()
      told?.cancel()
      await shut()
    },
  }
}

async function patiently(work: Promise<unknown> | undefined): Promise<void> {
  const over = new AbortController()
  await Promise.race([work, systemClock.sleep(PATIENCE_MS, over.signal).catch(() => {})])
  over.abort()
}
