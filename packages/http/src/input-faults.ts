/** A fault of the input as RFC 9457, section 3.2 shows it. */
export interface InputFault {
  /** JSON Pointer (RFC 6901) to the faulty member. */
  readonly pointer: string
  readonly detail: string
}

/**
 * The faults that a validation found, from the error it threw: with `issues` as Standard Schema has them (zod, valibot,
 * arktype), or with `validation` as Fastify's. Undefined for any other.
 */
export function inputFaults(error: unknown): InputFault[] | undefined {
  if (!(error instanceof Error)) return undefined
  const { issues, validation } = error as { readonly issues?: unknown; readonly validation?: unknown }
  return read(issues, issueFault) ?? read(validation, ajvFault)
}

/** Several messages, as a Nest pipe has them; undefined for anything else. */
export function messageFaults(messages: unknown): InputFault[] | undefined {
  return read(messages, textFault)
}

/** What the error says to the client: `getResponse()` of Nest's HttpException is written for it. */
export function messageOf(error: object): unknown {
  const { getResponse } = error as { readonly getResponse?: unknown }
  const response: unknown = typeof getResponse === 'function' ? getResponse.call(error) : undefined
  return typeof response === 'object' && response !== null && 'message' in response ? response.message : response
}

function read(found: unknown, fault: (one: unknown) => InputFault | undefined): InputFault[] | undefined {
  if (!Array.isArray(found) || found.length === 0) return undefined
  const faults = found.map(fault)
  return faults.every((one) => one !== undefined) ? faults : undefined
}

function issueFault(issue: unknown): InputFault | undefined {
  const { message, path = [] } = Object(issue) as { message?: unknown; path?: unknown }
  if (typeof message !== 'string' || !Array.isArray(path)) return undefined
  return { pointer: path.map((step) => `/${escaped(step)}`).join(''), detail: message }
}

/** Ajv points with JSON Pointers itself. */
function ajvFault(one: unknown): InputFault | undefined {
  const { message, instancePath } = Object(one) as { message?: unknown; instancePath?: unknown }
  if (typeof message !== 'string' || typeof instancePath !== 'string') return undefined
  return { pointer: instancePath, detail: message }
}

/** To which member a text belongs is not known. */
function textFault(text: unknown): InputFault | undefined {
  return typeof text === 'string' ? { pointer: '', detail: text } : undefined
}

/** A step is a key or, in Standard Schema, an object with one. */
function escaped(step: unknown): string {
  const key = typeof step === 'object' && step !== null && 'key' in step ? step.key : step
  return String(key).replaceAll('~', '~0').replaceAll('/', '~1')
}
