import { isPlainText } from '@keelson/kernel'
import { builtin } from './builtin.ts'

const MAX_CHARACTERS = 512

/** Method and concrete path as an operation's name; of a path that is too long or no plain text, its SHA-256. */
export function operationName(method: string, path: string): string {
  const name = `${method} ${path}`
  return name.length <= MAX_CHARACTERS && isPlainText(name)
    ? name
    : `${method} sha256:${builtin.crypto.hash('sha256', path)}`
}
