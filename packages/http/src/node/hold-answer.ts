import type { ServerResponse } from 'node:http'
import { HttpError } from '../error.ts'
import { headersOf, setOnly } from './head.ts'
import type { PayloadReply } from './payload-capture.ts'

/** An answer that nobody can give until `end`. */
export interface HeldAnswer {
  /** As `work`, but rejects as soon as it answers by itself. */
  value(work: () => unknown): Promise<unknown>
  /** Everything is as it was. */
  end(): void
}

/**
 * The answer of a transactional handler is its value: what it sends by itself would leave before the commit. So until
 * `end` nothing leaves: calls that would answer do nothing, and the work that makes them is refused. They do not throw,
 * for a stream or a timer may make them, and nobody could catch it there.
 */
export function holdAnswer(res: ServerResponse, reply: PayloadReply | undefined): HeldAnswer {
  const before = headersOf(res)
  const refused = Promise.withResolvers<never>()
  // Nobody may ask.
  refused.promise.catch(() => {})
  let isHeld = true
  let isRefused = false

  function refuse(): void {
    isRefused = true
    refused.reject(
      new HttpError('INPUT_INVALID', 'the handler of a transactional route returns its answer: it must not send one'),
    )
  }

  function hold(on: object, names: readonly string[]): void {
    const own = on as Record<string, (...args: unknown[]) => unknown>
    for (const name of names) {
      const send = own[name]
      if (send === undefined) continue
      own[name] = function (this: unknown, ...args) {
        if (!isHeld) return Reflect.apply(send, this, args)
        refuse()
        return name === 'write' ? true : on
      }
    }
  }

  hold(res, ['writeHead', 'write', 'end', 'flushHeaders'])
  if (reply !== undefined) {
    hold(reply, ['send', 'hijack'])
    // oxlint-disable-next-line unicorn/no-thenable -- a reply that is returned would be awaited until it is sent
    Object.assign(reply, { then: undefined })
  }

  return {
    async value(work) {
      const value = await Promise.race([refused.promise, work()])
      if (value !== (reply ?? res)) return value
      refuse()
      return refused.promise
    },
    end() {
      isHeld = false
      Reflect.deleteProperty(reply ?? {}, 'then')
      // What a handler was sending has set its own length.
      if (isRefused) setOnly(res, before)
    },
  }
}
