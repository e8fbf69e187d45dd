/** node --conditions=@keelson/source tools/crash/main.ts <scenario file> [--runs 300] [--seed N]; exit code 1: broken, 2: it cannot run. */
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import type { TestProject } from 'vitest/node'
import openServices from '../services.ts'
import { crash } from './crash.ts'
import { linesOf } from './lines.ts'

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { runs: { type: 'string', default: '300' }, seed: { type: 'string' } },
})
const [file] = positionals
const runs = Number(values.runs)
const seed = values.seed === undefined ? undefined : Number(values.seed)
if (file === undefined || !(runs > 0) || Number.isNaN(seed)) {
  console.error('usage: node --conditions=@keelson/source tools/crash/main.ts <scenario file> [--runs 300] [--seed N]')
  process.exit(2)
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
  console.error(error)
  process.exitCode = 2
} finally {
  await close()
}
