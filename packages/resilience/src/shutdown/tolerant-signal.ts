type Args = Parameters<AbortSignal['addEventListener']>
type Listener = (event: Event) => unknown

/**
 * The same signal; what its listeners throw, now or later, is told to `failed`. The platform would end the process for
 * it.
 */
export function tolerantSignal(signal: AbortSignal, failed: (error: unknown) => void): AbortSignal {
  const { addEventListener, removeEventListener } = signal
  const known = new WeakMap<object, Listener>()

  function tolerant(listener: Args[1]): Listener {
    let made = known.get(listener)
    if (made === undefined) {
      made = async (event) => {
        try {
          const done: unknown =
            typeof listener === 'function' ? listener.call(signal, event) : listener.handleEvent(event)
          await done
        } catch (error) {
          failed(error)
        }
      }
      known.set(listener, made)
    }
    return made
  }

  return Object.assign(signal, {
    addEventListener: (...[type, listener, o]: Args) => addEventListener.call(signal, type, tolerant(listener), o),
    removeEventListener: (...[type, listener, o]: Args) =>
      removeEventListener.call(signal, type, tolerant(listener), o),
  })
}
