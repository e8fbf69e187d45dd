/** Listeners by name. What one throws is reported where nobody caught it, and disturbs nobody. */
export interface Emitter<E> {
  on<N extends keyof E>(name: N, fn: (x: E[N]) => void): () => void
  emit<N extends keyof E>(name: N, x: E[N]): void
}

export function createEmitter<E>(): Emitter<E> {
  const listeners = new Map<keyof E, Set<(x: never) => void>>()
  return {
    on(name, fn) {
      const set = listeners.get(name) ?? new Set()
      // One that was given twice is called twice, and ended one by one.
      const own = (x: never): void => fn(x)
      listeners.set(name, set.add(own))
      return () => void set.delete(own)
    },
    emit(name, x) {
      for (const fn of listeners.get(name) ?? []) {
        try {
          fn(x as never)
        } catch (error) {
          void Promise.reject(error)
        }
      }
    },
  }
}
