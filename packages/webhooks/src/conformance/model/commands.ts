/** A call by chance. Numbers in [0, 1) choose among what is there when it is played. */
export type Command =
  | {
      readonly kind: 'publish'
      readonly scope: number
      readonly key: number
      readonly to: number
      readonly how: number
    }
  | { readonly kind: 'repeat'; readonly which: number; readonly changed: boolean }
  | { readonly kind: 'route'; readonly dies: boolean }
  | { readonly kind: 'claim'; readonly suspects: boolean; readonly handlers: boolean; readonly peer: boolean }
  | { readonly kind: 'settle'; readonly which: number; readonly how: number; readonly again: boolean }
  | { readonly kind: 'slow' | 'retry' | 'cancel' | 'remove' | 'heal'; readonly which: number }
  | { readonly kind: 'state'; readonly which: number; readonly to: number }
  | { readonly kind: 'pause'; readonly which: number; readonly paused: boolean }
  | { readonly kind: 'lapse' | 'handler' | 'endpoint' | 'redrive' | 'erase' | 'sweep'; readonly how: number }
  | { readonly kind: 'wait'; readonly how: number }

type Kind = Command['kind']

/** How often each of them comes. */
const WEIGHTS: Record<Kind, number> = {
  publish: 22,
  repeat: 2,
  route: 14,
  claim: 22,
  settle: 22,
  slow: 2,
  retry: 3,
  cancel: 2,
  remove: 1,
  heal: 4,
  state: 3,
  pause: 2,
  lapse: 3,
  handler: 1,
  endpoint: 3,
  redrive: 2,
  erase: 1,
  sweep: 1,
  wait: 4,
}
const KINDS = Object.entries(WEIGHTS).flatMap(([kind, weight]) => Array<Kind>(weight).fill(kind as Kind))

/** So many commands; an endpoint comes first. */
export function someCommands(count: number, random: () => number): Command[] {
  return Array.from({ length: count }, (_, i) => someCommand(i < 2 ? 0.999 : random(), random, i < 2))
}

/** One command: `choice` in [0, 1) says of which kind. */
function someCommand(choice: number, random: () => number, first = false): Command {
  const kind = first ? 'endpoint' : KINDS[Math.floor(choice * KINDS.length)]!
  const flag = (chance: number): boolean => random() < chance
  switch (kind) {
    case 'publish':
      return { kind, scope: random(), key: random(), to: random(), how: random() }
    case 'repeat':
      return { kind, which: random(), changed: flag(0.5) }
    case 'route':
      return { kind, dies: flag(0.1) }
    case 'claim':
      return { kind, suspects: flag(0.8), handlers: flag(0.7), peer: flag(0.5) }
    case 'settle':
      return { kind, which: random(), how: random(), again: flag(0.15) }
    case 'slow':
    case 'retry':
    case 'cancel':
    case 'remove':
    case 'heal':
      return { kind, which: random() }
    case 'state':
      return { kind, which: random(), to: random() }
    case 'pause':
      return { kind, which: random(), paused: flag(0.4) }
    case 'lapse':
    case 'handler':
    case 'endpoint':
    case 'redrive':
    case 'erase':
    case 'sweep':
    case 'wait':
      return { kind, how: random() }
  }
}
