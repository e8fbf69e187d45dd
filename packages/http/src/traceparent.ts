import { isTraceparent } from '@keelson/kernel'
import { writeRandomHex } from './random-hex.ts'

/** Of the flags, what version 00 and its successor define: sampled, random trace id. */
const KNOWN_FLAGS = 0x03

/** Where trace id, parent id and flags stand in the text of version 00. */
const TRACE = 3
const PARENT = 36
const FLAGS = 53
const text = Buffer.from('00-'.padEnd(55, '-'))

/**
 * The traceparent of this request: a valid one continued under a new parent id, else a new trace, unsampled because
 * nobody asked for it.
 */
export function traceparentOf(lines: readonly string[]): string {
  const [inbound, second] = lines
  if (second === undefined && isTraceparent(inbound)) {
    text.write(inbound.slice(TRACE, PARENT - 1), TRACE)
    text.write((Number.parseInt(inbound.slice(FLAGS), 16) & KNOWN_FLAGS).toString(16).padStart(2, '0'), FLAGS)
  } else {
    writeRandomHex(text, TRACE, PARENT - 1)
    text.write('00', FLAGS)
  }
  writeRandomHex(text, PARENT, FLAGS - 1)
  return text.toString('latin1')
}

/** True when `ours` continues what came in. */
export function isSameTrace(inbound: string, ours: string): boolean {
  return inbound.split('-')[1] === ours.split('-')[1]
}
