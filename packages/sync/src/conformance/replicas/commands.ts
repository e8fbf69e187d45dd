/** What may happen to a store and to devices that pull from it. Scopes and devices are numbers: see `SCOPES`. */
export type Command =
  | { readonly do: 'change'; readonly changes: readonly Changing[] }
  | { readonly do: 'push'; readonly id: string; readonly scope: number; readonly t: Writing; readonly ms: number }
  /** `pages`: then it goes away, and goes on from there when it comes back. */
  | { readonly do: 'pull'; readonly device: number; readonly limit: number; readonly pages: number }
  /** Bits of the scopes that a device may see from now on. */
  | { readonly do: 'grant'; readonly device: number; readonly scopes: number }
  | { readonly do: 'gc'; readonly batch: number }
  | { readonly do: 'forget'; readonly id: string; readonly scope: number }
  | { readonly do: 'rebase' }

type Writing = 'put' | 'patch' | 'delete'

export interface Changing {
  readonly t: Writing | 'move'
  readonly id: string
  readonly scope: number
  readonly to: number
}

export const SCOPES = 3
export const DEVICES = 3
export const IDS: readonly string[] = ['a', 'b', 'c', 'd', 'e']

/** Commands by chance; what makes trouble is frequent. */
export function anyCommands(random: () => number, count: number): readonly Command[] {
  const below = (n: number): number => Math.floor(random() * n)
  const id = (): string => IDS[below(IDS.length)]!
  const writing = (): Writing => (['put', 'put', 'patch', 'delete', 'delete'] as const)[below(5)]!
  const changing = (): Changing => ({
    t: below(5) === 0 ? 'move' : writing(),
    id: id(),
    scope: below(SCOPES),
    to: below(SCOPES),
  })

  function command(): Command {
    const kind = below(20)
    if (kind < 7) return { do: 'change', changes: Array.from({ length: 1 + below(4) }, changing) }
    if (kind < 9) return { do: 'push', id: id(), scope: below(SCOPES), t: writing(), ms: below(1_000) }
    if (kind < 16) return { do: 'pull', device: below(DEVICES), limit: 1 + below(4), pages: 1 + below(5) }
    if (kind < 18) return { do: 'grant', device: below(DEVICES), scopes: 1 + below(2 ** SCOPES - 1) }
    if (kind < 19) return { do: 'gc', batch: 1 + below(4) }
    return below(3) === 0 ? { do: 'rebase' } : { do: 'forget', id: id(), scope: below(SCOPES) }
  }
  return Array.from({ length: count }, command)
}
