import type { RedisPort, SubscribeOptions, Subscription } from '../../src/redis/index.ts'

/** A subscription that writes down what it is told. */
export interface Heard extends Subscription {
  /** Messages as text, 'lost' and 'restored' in brackets. */
  readonly log: readonly string[]
  /** Resolves when `what` is in the log, or is there again after `from`. */
  until(what: string, from?: number): Promise<void>
}

/** Subscribes and keeps a log. */
export async function hear(
  port: Pick<RedisPort, 'subscribe'>,
  channel: string,
  o: Pick<SubscribeOptions, 'sharded'> = {},
): Promise<Heard> {
  const log: string[] = []
  const waiting = new Set<() => void>()
  const note = (what: string): void => {
    log.push(what)
    for (const look of waiting) look()
  }
  const subscription = await port.subscribe(channel, (message) => note(message.toString('latin1')), {
    ...o,
    lost: () => note('[lost]'),
    restored: () => note('[restored]'),
  })
  return {
    log,
    until: (what, from = 0) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (log.indexOf(what, from) < 0) return
          waiting.delete(look)
          resolve()
        }
        waiting.add(look)
        look()
      }),
    close: () => subscription.close(),
  }
}
