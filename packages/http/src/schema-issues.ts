/** A fault of the input as RFC 9457, section 3.2 shows it. */
export interface InputFault {
  /** JSON Pointer (RFC 6901) to the faulty member. */
  readonly pointer: string
  readonly detail: string
}

/**
 * The faults that a schema found, from the error it threw: one with `issues` as Standard Schema has them (zod, valibot,
 * arktype). Undefined for any other error.
 */
export function schemaIssues(error: unknown): InputFault[] | undefined {
  if (!(error instanceof Error) || !('issues' in error) || !Array.isArray(error.issues)) return undefined
  const faults = error.issues.map(fault)
  return faults.length > 0 && faults.every((one) => one !== undefined) ? faults : undefined
}

function fault(issue: unknown): InputFault | undefined {
  if (typeof issue !== 'object' || issue === null) return undefined
  const { message, path = [] } = issue as { message?: unknown; path?: unknown }
  if (typeof message !== 'string' || !Array.isArray(path)) return undefined
  return { pointer: path.map((step) => `/${escaped(step)}`).join(''), detail: message }
}

/** A step is a key or, in Standard Schema, an object with one. */
function escaped(step: unknown): string {
  const key = typeof step === 'object' && step !== null && 'key' in step ? step.key : step
  return String(key).replaceAll('~', '~0').replaceAll('/', '~1')
}
