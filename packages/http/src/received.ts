import { context, type KeelsonContext } from '@keelson/kernel'
import type { Verified } from '@keelson/webhooks/verify'

/** On the context, and shared between two copies of this package. */
export const RECEIVED: unique symbol = Symbol.for('keelson.http.received') as never
type Receiving = KeelsonContext & { readonly [RECEIVED]?: Verified }

/** The webhook that this request is: in the handler of a route with the rule `receive`; undefined anywhere else. */
export function received(): Verified | undefined {
  const running: Receiving | undefined = context.get()
  return running?.[RECEIVED]
}
