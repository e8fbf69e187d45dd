const MAX = 100

/** `load` of the texts that were asked for last: an Ed25519 key costs more to read than to sign with. */
export function remembered<T>(load: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>()
  return (text) => {
    const held = known.get(text)
    if (held !== undefined) return held
    const loaded = load(text)
    if (known.size >= MAX) known.delete(known.keys().next().value!)
    known.set(text, loaded)
    return loaded
  }
}
