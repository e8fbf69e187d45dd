import { context, type Logger } from '@keelson/kernel'
import pino, { type DestinationStream } from 'pino'
import type { Environment } from './environment.ts'

/** Lines of JSON, each with the correlation id of its request; on standard error: standard output is what commands answer. */
export function openLogger(
  { LOG_LEVEL: level }: Pick<Environment, 'LOG_LEVEL'>,
  to: DestinationStream = pino.destination(2),
): Logger {
  const mixin = (): object => ({ correlationId: context.get()?.correlationId })
  return pino({ level, base: null, mixin }, to)
}
