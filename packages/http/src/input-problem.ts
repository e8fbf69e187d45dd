import { isKeelsonError } from '@keelson/kernel'
import { HttpProblem } from './problem.ts'

/** What a client did when its body has no canonical form: {"a":"\ud800"} is JSON. Undefined for any other error. */
export function inputProblem(error: unknown): HttpProblem | undefined {
  if (!isKeelsonError(error, 'INPUT_NOT_HASHABLE')) return undefined
  return new HttpProblem(400, 'input-invalid', { detail: error.message, cause: error })
}
