import { parseArgs } from 'node:util'
import { Failure } from './failure.ts'
import { FLAGS, written, type Flag, type FlagName } from './flags.ts'

type ValueOf<F extends Flag> = F extends { many: true }
  ? readonly string[]
  : F extends { value: string }
    ? string
    : true

/** What stands behind the name of a command. */
export interface Arguments<N extends FlagName = FlagName> {
  /** Those that were given. */
  readonly flags: { readonly [K in N]?: ValueOf<(typeof FLAGS)[K]> }
  readonly operands: readonly string[]
}

/** @throws Failure that names the option, what came and what is allowed */
export function readArguments<N extends FlagName>(argv: readonly string[], names: readonly N[]): Arguments<N> {
  const options = Object.fromEntries(
    names.map((name) => [name, { type: hasValue(name) ? 'string' : 'boolean' }] as const),
  )
  const { tokens, positionals } = parseArgs({
    args: [...argv],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  })
  const flags: Partial<Record<FlagName, string | string[] | true>> = {}
  for (const token of tokens) {
    if (token.kind !== 'option') continue
    const { rawName, value, inlineValue } = token
    const name = token.name === 'h' ? 'help' : token.name
    if (!isOneOf(names, name)) {
      throw new Failure(`unknown option ${rawName}; allowed are ${names.map((one) => `--${one}`).join(', ')}`)
    }
    if (!hasValue(name)) {
      if (value !== undefined) throw new Failure(`--${name} is a switch and takes no value (got '${value}')`)
      flags[name] = true
      continue
    }
    // What looks like the next option is one: '--dir=-x' says that it is not.
    if (value === undefined || value === '' || (!inlineValue && value.startsWith('-'))) {
      throw new Failure(`${written(name)} needs a value: ${FLAGS[name].what}`)
    }
    const before = flags[name]
    if ('many' in FLAGS[name]) flags[name] = [...((before as string[] | undefined) ?? []), value]
    else if (before !== undefined) throw new Failure(`--${name} is given twice ('${String(before)}' and '${value}')`)
    else flags[name] = value
  }
  return { flags: flags as Arguments<N>['flags'], operands: positionals }
}

function isOneOf<N extends FlagName>(names: readonly N[], name: string): name is N {
  return (names as readonly string[]).includes(name)
}

function hasValue(name: FlagName): boolean {
  return 'value' in FLAGS[name]
}
