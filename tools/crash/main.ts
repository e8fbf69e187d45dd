/** node --conditions=@keelson/source tools/crash/main.ts <scenario file> [--runs 300] [--seed N]; exit code 1: broken, 2: it cannot run. */
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import type { TestProject } from 'vitest/node'
import openServices from '../services.ts'
import { crash } from './crash.ts'
import { linesOf } from './lines.ts'

const { file, runs, seed } = readArguments()

function readArguments(): { file: string; runs: number; seed: number | undefined } {
  try {
    const { positionals, values } = parseArgs({
      allowPositionals: true,
      options: { runs: { type: 'string', default: '300' }, seed: { type: 'string' } },
    })
    const [file, more] = positionals
    const runs = Number(values.runs)
    const seed = values.seed === undefined ? undefined : Number(values.seed)
    if (file === undefined || more !== undefined) throw new Error('give one scenario file')
    if (!Number.isSafeInteger(runs) || runs < 1) throw new Error(`--runs must be a number from 1 (got ${values.runs})`)
    if (seed !== undefined && !Number.isSafeInteger(seed))
      throw new Error(`--seed must be an integer (got ${values.seed})`)
    return { file, runs, seed }
  } catch (error) {
    console.error((error as Error).message)
    console.error(
      'usage: node --conditions=@keelson/source tools/crash/main.ts <scenario file> [--runs 300] [--seed N]',
    )
    process.exit(2)
  }
}

const urls: Record<string, string> = {}
const provide = (name: string, url: string): void => void (urls[name] = url)
const close = await openServices({ provide } as unknown as TestProject)
try {
  const scenario = new URL(file, pathToFileURL(`${process.cwd()}/`))
  const report = await crash(scenario, { ...urls, runs, ...(seed === undefined ? {} : { seed }) })
  for (const line of linesOf(report)) console.log(line)
  process.exitCode = report.broken.length > 0 ? 1 : 0
} catch (error) {
  console.error(`it cannot run: ${(error as Error).message}`)
  process.exitCode = 2
} finally {
  await close()
}
