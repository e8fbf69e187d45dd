import { context } from '@keelson/kernel'
import { flight } from '../../../../tools/crash/flight.ts'

/** As `flight`, of requests: the dispatcher that a write has woken works for all of them, and in no context. */
export function flightOfRequests(driver: object, name: string): void {
  const functions = driver as Record<string, (...args: unknown[]) => unknown>
  const plain = functions[name]!
  const counted = flight(functions, name)[name]!
  functions[name] = function (this: unknown, ...args: unknown[]) {
    return (context.get()?.correlationId === undefined ? plain : counted).apply(this, args)
  }
}
