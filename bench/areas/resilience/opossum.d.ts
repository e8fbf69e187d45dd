/** What the benchmark uses of it: it ships no types. */
declare module 'opossum' {
  export default class CircuitBreaker {
    constructor(action: () => Promise<unknown>, options: Record<string, number>)
    fire(): Promise<unknown>
    open(): void
    shutdown(): void
  }
}
