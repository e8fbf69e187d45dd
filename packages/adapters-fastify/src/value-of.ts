import { HttpError } from '@keelson/http'
import type { FastifyReply } from 'fastify'

/** The value of a transactional handler, which is its answer: one that it sends by itself would leave before the commit. */
export async function valueOf(reply: FastifyReply, work: () => unknown): Promise<unknown> {
  const own = reply as { send?: unknown; then?: unknown }
  own.send = refuse
  // oxlint-disable-next-line unicorn/no-thenable -- a reply that is returned would be awaited until it is sent
  own.then = undefined
  try {
    const value = await work()
    return value === reply ? refuse() : value
  } finally {
    delete own.send
    delete own.then
  }
}

function refuse(): never {
  throw new HttpError('INPUT_INVALID', 'the handler of a transactional route returns its answer: it must not send one')
}
