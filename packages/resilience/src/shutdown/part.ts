import { optionFailure } from '../error.ts'

interface Drained {
  /** Finishes what has begun and begins nothing new. All parts together; the signal aborts when the time is over. */
  drain(signal: AbortSignal): unknown
}

interface Closed {
  /** Gives back what it holds. One part after the other, the last added first. */
  close(): unknown
}

/** Something that ends with the process; a kernel Component fits. It has one of the two, or both. */
export type Part = (Drained & Partial<Closed>) | (Closed & Partial<Drained>)

/** @throws ResilienceError OPTION_INVALID */
export function checkPart(given: unknown): void {
  const { drain, close } = (given ?? {}) as { readonly drain?: unknown; readonly close?: unknown }
  const methods = [drain, close].filter((method) => method !== undefined)
  if (methods.length === 0 || methods.some((method) => typeof method !== 'function'))
    throw optionFailure('shutdown.add: "part" must be an object with drain() or close(), or both')
}
