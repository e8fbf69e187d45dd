import { isKeelsonError } from '@keelson/kernel'
import { readArguments } from './arguments.ts'
import { helpOf, type Command } from './command.ts'
import { deadLetters } from './dead-letters.ts'
import { exportEntries } from './export.ts'
import { Failure, FAILED, OK } from './failure.ts'
import { keygen } from './keygen.ts'
import { print } from './output.ts'
import { verify } from './verify.ts'

const COMMANDS: readonly Command[] = [keygen, verify, exportEntries, deadLetters]

/** How a command ended; `problem` is for the person. */
export interface Ended {
  readonly code: number
  readonly problem?: string
}

/** Runs what stands behind the program's name. */
export async function run(argv: readonly string[]): Promise<Ended> {
  const [name, ...rest] = argv
  if (name === '--help' || name === '-h' || name === 'help') {
    await print(overview())
    return { code: OK }
  }
  const command = COMMANDS.find((one) => one.name === name)
  if (command === undefined) {
    const got = name === undefined ? '' : ` (got '${name}')`
    const names = COMMANDS.map((one) => one.name).join(', ')
    return { code: FAILED, problem: `keelson-audit: a command is needed: ${names}${got}; --help tells more` }
  }
  try {
    const given = readArguments(rest, command.flags)
    if (given.flags.help !== true) return { code: await command.run(given) }
    await print(helpOf(command))
    return { code: OK }
  } catch (error) {
    return { code: FAILED, problem: `keelson-audit ${command.name}: ${lineOf(error)}` }
  }
}

function overview(): string {
  const width = Math.max(...COMMANDS.map(({ name }) => name.length))
  const lines = COMMANDS.map(({ name, what }) => `  ${name.padEnd(width)}  ${what.split('\n')[0]}`)
  return ['keelson-audit <command> [options]', '', ...lines, '', 'keelson-audit <command> --help tells more.', ''].join(
    '\n',
  )
}

/** What is wrong, in one line. */
function lineOf(error: unknown): string {
  if (error instanceof Failure) return error.message
  const { code, message = String(error) } = error as { code?: unknown; message?: string }
  // Of Postgres: no such table or schema.
  if (code === '42P01' || code === '3F000') return `there is no audit log in that schema (--schema): ${message}`
  const text = message.replaceAll(/\s+/g, ' ')
  // 'export: "scope" must be …': the option has the member's name.
  return isKeelsonError(error) ? text.replace(/^\w+: "(\w+)/, '--$1').replace(/^(--\w+)"/, '$1') : text
}
