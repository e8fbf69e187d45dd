import { virtualClock, type VirtualClock } from '@keelson/kernel/testing'
import { createPipeline, type Pipeline, type PipelineOptions } from '../../src/index.ts'

export const never = (): Promise<never> => new Promise(() => {})
export const upstreamError = new Error('upstream')
export const fails = (): Promise<never> => Promise.reject(upstreamError)

/** A pipeline without chance, whose time the test moves. */
export function on(options: Omit<PipelineOptions, 'name' | 'clock'> = {}): { clock: VirtualClock; pipeline: Pipeline } {
  const clock = virtualClock()
  return { clock, pipeline: createPipeline({ name: 'up', random: () => 1, ...options, clock }) }
}

/** What a promise has come to, without waiting for it. */
export function seen<T>(promise: Promise<T>): { value?: T; error?: unknown } {
  const it: { value?: T; error?: unknown } = {}
  promise.then(
    (value) => (it.value = value),
    (error: unknown) => (it.error = error),
  )
  return it
}
