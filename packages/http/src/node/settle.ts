/**
 * Runs a step of a middleware that goes on by `next`, and gives it what was thrown: as an object, for frameworks read
 * `next(undefined)` as no error at all. For adapters.
 */
export function settle(next: (error: Error) => void, work: () => Promise<void>): void {
  work().catch((thrown: unknown) => {
    next(typeof thrown === 'object' && thrown !== null ? (thrown as Error) : new Error(`thrown: ${String(thrown)}`))
  })
}
