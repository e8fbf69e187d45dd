import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Contender } from './case.ts'

/** Processes a round, the fastest counts: what disturbs a start only makes it slower. */
const PROCESSES = 6
const run = promisify(execFile)

/**
 * A new process that imports `specifiers` (none: an empty one) and then says how old it is, by its own clock: neither
 * the spawning nor the exit counts.
 */
export function coldStart(name: string, specifiers: readonly string[]): Contender {
  const imports = specifiers.map((specifier) => `import '${specifier}';`).join('')
  const args = ['--input-type=module', '--eval', `${imports}console.log(performance.now())`]
  const once = async (): Promise<number> => {
    const { stdout } = await run(process.execPath, args, { cwd: join(import.meta.dirname, '..'), env: plainEnv() })
    return Number(stdout)
  }
  return {
    name,
    open: () => ({
      async run() {
        const startsMs: number[] = []
        for (let i = 0; i < PROCESSES; i++) startsMs.push(await once())
        return { 'start ms': Math.min(...startsMs) }
      },
    }),
  }
}

/** Without what would load more into each process. */
function plainEnv(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _, ...env } = process.env
  return env
}
