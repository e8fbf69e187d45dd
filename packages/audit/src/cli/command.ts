import type { Arguments } from './arguments.ts'
import { FLAGS, written, type FlagName } from './flags.ts'

/** One of the commands. */
export interface Command {
  readonly name: string
  /** What it takes beside options. */
  readonly operands: string
  readonly what: string
  readonly flags: readonly FlagName[]
  /** The process's exit code. */
  run(given: Arguments): Promise<number>
}

/** A command whose options are known by their names. */
export function command<N extends FlagName>(
  given: Omit<Command, 'flags' | 'run'> & { readonly flags: readonly N[]; run(given: Arguments<N>): Promise<number> },
): Command {
  return given
}

/** How a command is used. */
export function helpOf({ name, operands, what, flags }: Command): string {
  const width = Math.max(...flags.map((flag) => written(flag).length))
  const lines = flags.map((flag) => `  ${written(flag).padEnd(width)}  ${FLAGS[flag].what}${manyOf(flag)}`)
  return [`keelson-audit ${name}${operands && ` ${operands}`} [options]`, '', what, '', ...lines, ''].join('\n')
}

function manyOf(flag: FlagName): string {
  return 'many' in FLAGS[flag] ? '; may be given several times' : ''
}
