/** Thrown in `apply`: this operation fails with `code`, the others go on. */
export class OpRejected extends Error {
  override readonly name = 'OpRejected'
  readonly op: string
  readonly code: string
  readonly detail: string | undefined

  constructor(op: string, code: string, detail?: string) {
    super(`operation ${op} is rejected: ${code}${detail === undefined ? '' : ` (${detail})`}`)
    this.op = op
    this.code = code
    this.detail = detail
  }
}
