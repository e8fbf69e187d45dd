import type { WebhooksOptions } from '@keelson/webhooks'
import { startWorker } from '../../../../tools/crash/worker-process.ts'
import type { Place } from './place.ts'

/** What travels to another process. */
export type NodeOptions = Pick<WebhooksOptions, 'dispatcher' | 'endpoint' | 'network' | 'retention'>

/** A process that delivers, and that receivers know by its user agent. */
export interface DispatchNode extends AsyncDisposable {
  readonly name: string
  readonly pid: number
  /** SIGKILL. */
  kill(): Promise<void>
}

/** A lease of 2 s, and retries that are soon: a crash and a stalled machine cost tests no minutes. */
export const QUICK: NodeOptions = {
  dispatcher: { leaseMargin: 500 },
  endpoint: { retry: { schedule: [0, ...Array.from({ length: 20 }, () => 200)] }, breaker: false },
  network: { timeout: 1_500, allow: ['127.0.0.1/32'], httpsOnly: false },
}

/** The same where an attempt that is cut off would be told as a fault: its process has seconds to stand still. */
export const STEADY: NodeOptions = { ...QUICK, network: { ...QUICK.network, timeout: '6s' } }

let nodes = 0

/** `env` besides ours, such as that of a wrong clock. */
export async function startNode(
  place: Place,
  options: NodeOptions = QUICK,
  env: Record<string, string> = {},
): Promise<DispatchNode> {
  const name = `node-${++nodes}`
  const network = { ...options.network, userAgent: name }
  const worker = await startWorker<never, never>(new URL('./node-worker.ts', import.meta.url), {
    PLACE: JSON.stringify(place),
    OPTIONS: JSON.stringify({ ...options, network }),
    ...env,
  })
  const { pid, kill } = worker
  return { name, pid, kill, [Symbol.asyncDispose]: kill }
}
