import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Exchange } from '../../exchange.ts'

const CHANNEL = 'http.server.request.start'
const answers = new WeakMap<object, ServerResponse>()

function note(message: unknown): void {
  const { request, response } = message as { request: IncomingMessage; response: ServerResponse }
  answers.set(request, response)
}

/** From now on {@link nodeAnswer} knows the answers of this process's servers; ended by what it returns. */
export function noteAnswers(): () => void {
  subscribe(CHANNEL, note)
  return () => void unsubscribe(CHANNEL, note)
}

/** Node's own answer to a request, whatever framework shows it: for adapters that are broken on purpose. */
export function nodeAnswer({ raw }: Exchange): ServerResponse {
  const { raw: inner, req, env } = raw as { raw?: object; req?: object; env?: { incoming?: object } }
  const found = [raw as object, inner, req, env?.incoming].flatMap((one) =>
    one === undefined ? [] : [answers.get(one)],
  )
  const answer = found.find((one) => one !== undefined)
  if (answer === undefined) throw new Error('no request of node:http behind this exchange')
  return answer
}
