/** `load` of the texts that were asked for last, at most `max` of them: who is asked again is remembered longer. */
export function remembered<T>(max: number, load: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>()
  return (text) => {
    const held = known.get(text)
    if (held !== undefined) {
      // Behind all others: the first one is the one that waits longest. Only when it matters.
      if (known.size >= max) {
        known.delete(text)
        known.set(text, held)
      }
      return held
    }
    const loaded = load(text)
    if (known.size >= max) known.delete(known.keys().next().value!)
    known.set(text, loaded)
    return loaded
  }
}
