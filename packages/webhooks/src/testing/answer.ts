import type { ReceivedRequest } from './receiver.ts'

/** What a receiver answers: a status, the whole of it, or a function of the request. */
export type Answer = number | AnswerScript | ((request: ReceivedRequest) => Answer | Promise<Answer>)

/** One answer, and how badly it is given. */
export interface AnswerScript {
  /** Default 204, with a body 200. */
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
  /** Ms between the whole request and the head; default 0. */
  readonly delayMs?: number
  /** Ms between one byte of the body and the next; by default it comes at once. */
  readonly dripMs?: number
  /** No answer at all, or a head and the body but its end: until the sender hangs up, or `close()`. */
  readonly hang?: 'head' | 'body'
  /** The connection is reset in place of an answer, or with the head and the body but its end. */
  readonly reset?: 'head' | 'body'
}
