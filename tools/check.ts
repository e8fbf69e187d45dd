/** `pnpm check`: everything that can be said of the code without running it. */
import { adapterFaults } from './check/adapters.ts'
import { changesets } from './check/changesets.ts'
import { docComments } from './check/doc-comments.ts'
import { links } from './check/links.ts'
import { machineNames } from './check/machine-names.ts'
import { readmeHeadings } from './check/readme-headings.ts'
import { trackedFiles } from './check/tracked-files.ts'
import { unfinishedMarks } from './check/unfinished-marks.ts'
import { packages } from './packages.ts'
import { run } from './run.ts'
import { runSteps, type Step } from './steps.ts'

const command = (name: string, program: string, ...args: string[]): Step => ({
  name,
  async run() {
    const { ok, output } = await run(program, args)
    return ok ? [] : [output.trim()]
  },
})

const files = await trackedFiles()
const ok = await runSteps([
  command('format', 'oxfmt', '--check', '.'),
  command('lint', 'oxlint', '--deny-warnings', '.'),
  command('types', 'tsc', '-b'),
  command('unused code', 'knip'),
  { name: 'doc comments', run: () => docComments(packages()) },
  { name: 'adapters translate', run: () => adapterFaults(files) },
  { name: 'unfinished marks', run: () => unfinishedMarks(files) },
  { name: 'changesets', run: () => changesets(packages()) },
  { name: 'links', run: () => links(files) },
  { name: 'README headings', run: () => readmeHeadings(packages()) },
  { name: 'machine names', run: () => machineNames(files) },
])
if (!ok) process.exitCode = 1
