/** `pnpm bench [area ...] [--json FILE] [--quick] [--case TEXT] [--strict]`, see README.md. */
import { globSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Area } from './case.ts'
import { thisMachine } from './machine.ts'
import { reportOf, type Ran } from './report.ts'
import { runRounds, type Plan } from './rounds.ts'
import { createServices } from './services.ts'
import { tableOf } from './table.ts'
import { verdictOn } from './verdict.ts'

const FULL: Plan = { rounds: 5, share: 1 }
const QUICK: Plan = { rounds: 2, share: 0.1 }

const { values: o, positionals } = readArguments()

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        json: { type: 'string' },
        quick: { type: 'boolean', default: false },
        case: { type: 'string', default: '' },
        strict: { type: 'boolean', default: false },
      },
    })
  } catch (error) {
    return refuse((error as Error).message)
  }
}

/** Exit code 2: 1 is a missed target. */
function refuse(why: string): never {
  console.error(why)
  process.exit(2)
}

const folders = globSync(join(import.meta.dirname, '../areas/*/index.ts')).toSorted()
const known = new Map(folders.map((file) => [basename(dirname(file)), file]))
const unknown = positionals.filter((name) => !known.has(name))
if (unknown.length > 0) {
  refuse(`no area is named ${unknown.join(', ')}; there are ${[...known.keys()].join(', ')}`)
}
if (o.quick && o.strict) refuse('--strict judges figures, and --quick makes none that count')

const machine = thisMachine()
const standard = o.quick ? QUICK : FULL
const plan = { ...standard, rounds: Number(process.env['ROUNDS'] ?? standard.rounds) }
if (!Number.isSafeInteger(plan.rounds) || plan.rounds < 1) refuse(`ROUNDS must be a number from 1 (got ${plan.rounds})`)
// Now: after minutes of measuring it would be too late to learn that it cannot be written.
if (o.json !== undefined) await writeFile(o.json, '').catch((error: Error) => refuse(`--json: ${error.message}`))
console.log(`Node ${machine.node}, ${machine.cpu}, ${machine.memoryGb} GB, load ${machine.load.toFixed(1)}`)
console.log(`${plan.rounds} interleaved rounds; ratios inside a round, medians of the rounds\n`)

const ran: Ran[] = []
{
  await using services = createServices(console.log)
  for (const [name, file] of known) {
    if (positionals.length > 0 && !positionals.includes(name)) continue
    const beginsMs = performance.now()
    console.log(`== ${name}\n`)
    const { default: area } = (await import(file)) as { default: Area }
    for (const one of area(services).filter((one) => one.name.includes(o.case))) {
      const rounds = await runRounds(one, plan)
      const verdicts = (one.targets ?? []).map((target) => verdictOn(target, rounds))
      console.log(tableOf(one, rounds, verdicts))
      ran.push({ area: name, case: one, rounds, verdicts })
    }
    console.log(`${name} took ${((performance.now() - beginsMs) / 1000).toFixed(0)} s\n`)
  }
  if (o.json !== undefined) {
    const report = reportOf(ran, { machine, servers: services.lines, plan })
    await writeFile(o.json, `${JSON.stringify(report, null, 2)}\n`)
  }
}

if (ran.length === 0) refuse(`no case of ${positionals.join(', ') || 'any area'} has '${o.case}' in its name`)
const verdicts = ran.flatMap((each) => each.verdicts)
const missed = verdicts.filter(({ kind }) => kind === 'missed').length
console.log(`targets: ${verdicts.length - missed} met, ${missed} missed`)
if (o.strict && missed > 0) process.exitCode = 1
