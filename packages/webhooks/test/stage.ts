import { expect, onTestFinished } from 'vitest'
import { createWebhooks, type Webhooks, type WebhooksOptions } from '@keelson/webhooks'
import { startReceiver, type Receiver } from '@keelson/webhooks/testing'
import { until } from '../../../tools/servers/until.ts'
import type { Backend } from './backends.ts'

/** A line of the log. */
interface Line {
  readonly level: string
  readonly message: string
  readonly [member: string]: unknown
}

/** What a test plays with; all of it ends with the test. */
export interface Stage {
  readonly backend: Backend
  /** Webhooks as one process has them: quick, and allowed to call this machine. */
  open(o?: Partial<WebhooksOptions>): Webhooks
  readonly webhooks: Webhooks
  readonly receiver: Receiver
  /** Of all webhooks of the stage. */
  readonly log: readonly Line[]
}

/** Long enough for a machine that stalls; reached only by what hangs. */
const PATIENCE_MS = 60_000

/** What a test waits for. */
export const eventually = <T>(what: string, look: () => T | Promise<T>): Promise<Exclude<T, undefined | false>> =>
  until(what, PATIENCE_MS, async () => {
    const seen = await look()
    return seen === false ? undefined : (seen as Exclude<T, undefined | false>)
  })

/** A stage on a backend, with `o` for its first webhooks. */
export async function stage(openBackend: () => Promise<Backend>, o: Partial<WebhooksOptions> = {}): Promise<Stage> {
  const opened = new AsyncDisposableStack()
  onTestFinished(() => opened.disposeAsync())
  const backend = opened.use(await openBackend())
  const receiver = await startReceiver()
  opened.defer(() => receiver.close())
  const log: Line[] = []
  const unhandled: unknown[] = []
  const note = (error: unknown) => void unhandled.push(error)
  process.on('unhandledRejection', note)
  opened.defer(() => {
    process.off('unhandledRejection', note)
    expect(unhandled).toEqual([])
  })
  const open = (more: Partial<WebhooksOptions> = {}) =>
    opened.use(createWebhooks({ ...quick, logger: loggerOf(log), store: backend.open(), ...more }))
  return { backend, open, webhooks: open(o), receiver, log }
}

const quick = {
  encryption: [{ id: 'k1', key: Buffer.alloc(32, 7) }],
  network: { allow: ['127.0.0.1/32'], httpsOnly: false },
  endpoint: { retry: { schedule: [0, 10, 10, 10], jitter: 0 } },
  dispatcher: { pollInterval: 50 },
  // A machine that is busy with other tests is no dead store.
  storeTimeout: '20s',
} satisfies Partial<WebhooksOptions>

function loggerOf(lines: Line[]) {
  const at = (level: string) => (about: object, message: string) => void lines.push({ ...about, level, message })
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}
