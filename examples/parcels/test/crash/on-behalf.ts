import { AsyncLocalStorage } from 'node:async_hooks'
import { Server, type IncomingMessage } from 'node:http'

/** Whatever is done so belongs to no write: its flights are not counted. */
export const outside = AsyncLocalStorage.snapshot()

/** By the key of the request. */
const writes = new Map<string, typeof outside>()

/** The request with this key that `send` sends is served on behalf of the write that runs: a server knows no clients. */
export async function onBehalf<T>(key: string, send: () => Promise<T>): Promise<T> {
  writes.set(key, AsyncLocalStorage.snapshot())
  try {
    return await send()
  } finally {
    writes.delete(key)
  }
}

const emit = Server.prototype.emit as (this: Server, event: string, ...args: unknown[]) => boolean
Server.prototype.emit = function (this: Server, event: string, ...args: unknown[]): boolean {
  const go = (): boolean => emit.call(this, event, ...args)
  if (event !== 'request') return go()
  const enter = writes.get(String((args[0] as IncomingMessage).headers['idempotency-key']))
  return enter === undefined ? go() : enter(go)
}
