/** A batch that a sink did not take. `status` 413: it is too big; `retryAfter` in ms: what the sink asks for; `halt`: somebody must mend something. */
export class DeliveryFailure extends Error {
  override readonly name = 'DeliveryFailure'
  readonly status?: number
  readonly retryAfter?: number
  readonly halt?: boolean

  constructor(message: string, more: { status?: number; retryAfter?: number; halt?: boolean; cause?: unknown } = {}) {
    super(message, more.cause === undefined ? {} : { cause: more.cause })
    if (more.status !== undefined) this.status = more.status
    if (more.retryAfter !== undefined) this.retryAfter = more.retryAfter
    if (more.halt !== undefined) this.halt = more.halt
  }
}
