import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, inject, test } from 'vitest'
import { crash, type CrashReport } from '../crash/crash.ts'
import { run } from '../run.ts'

const urls = { databaseUrl: inject('databaseUrl'), redisUrl: inject('redisUrl') }
const SEED = 5

const notes = new URL('../crash/example/notes.ts', import.meta.url)
const journal = new URL('../crash/example/journal.ts', import.meta.url)
const main = new URL('../crash/main.ts', import.meta.url)

/** An example in its way of being broken. */
function crashExample(example: URL, broken: string, runs: number): Promise<CrashReport> {
  return crash(new URL(`?broken=${broken}`, example), { runs, seed: SEED, ...urls })
}

test('finds nothing where nothing is broken, at every boundary of every flight', async () => {
  expect(await crashExample(notes, 'nothing', 160)).toMatchObject({
    seed: SEED,
    kills: 20,
    boundaries: { met: 12, all: 12 },
    runs: 160,
    broken: [],
  })
})

test.each([
  ['effects-behind-commit', /^write \d+-\d+: a part is missing; {"notes":1,"lines":0}, told nothing$/],
  ['told-early', /^write \d+-\d+: its client was told, but it is not there; {"notes":0,"lines":0}, told note \d+$/],
  ['again', /^write \d+-\d+: a part is missing; {"notes":1,"lines":2}, told note \d+$/],
  ['other-answer', /^write \S+: told note 0\.\d+, then note 0\.\d+$/],
])('finds writes broken by %s', async (broken, finding) => {
  const report = await crashExample(notes, broken, 120)
  expect(report.broken).toContainEqual(expect.stringMatching(finding))
})

test('reports a process that ends by itself, and goes on', async () => {
  const { kills, broken } = await crashExample(notes, 'exits', 40)
  expect(broken).toEqual(['a process was to die by SIGKILL, but: exit 7'])
  expect(kills).toBe(4)
})

test('reports a write that is rejected, of a worker and of a retry', async () => {
  const { broken } = await crashExample(notes, 'throws', 40)
  expect(broken).toContainEqual(expect.stringMatching(/^a process was to die by SIGKILL, but: Error: out of ink at /))
})

test('a store with room for one process is opened by the next one', async () => {
  expect(await crashExample(journal, 'nothing', 80)).toMatchObject({ kills: 10, runs: 80, broken: [] })
  const { broken } = await crashExample(journal, 'two-files', 80)
  expect(broken).toContainEqual(expect.stringContaining('a part is missing; {"entries":1,"stamps":0}, told nothing'))
})

test.each([
  ['no-flight', {}, /write\(\) made no flight at which it could die/],
  ['silent', {}, /write\(\) must answer what its client is told \(got undefined\)/],
  // It must have opened its store by then.
  ['hangs', { answerMs: 10_000 }, /'rehearse' did not end within 10000 ms/],
])('a scenario that says nothing is refused: %s', async (broken, o, message) => {
  const file = new URL(`?broken=${broken}`, notes)
  await expect(crash(file, { runs: 8, ...o, ...urls })).rejects.toThrow(message)
})

test('asks for the whole store at the end', async () => {
  expect((await crashExample(journal, 'total', 8)).broken).toEqual(['at the end: a wrong total'])
})

test('the command prints what was found, and fails', async () => {
  const scenario = 'tools/crash/example/journal.ts?broken=two-files'
  const ran = await run('node', [
    '--conditions=@keelson/source',
    fileURLToPath(main),
    scenario,
    '--runs',
    '40',
    '--seed',
    '5',
  ])
  expect(ran.ok).toBe(false)
  expect(ran.output).toMatch(
    /^seed {7}5\nkills {6}5\nboundaries 4 of 6; more runs meet the others\nruns {7}40\nretries {4}\d+\nbroken {5}\d+\n {2}write /m,
  )
})

test.each([[['--bogus']], [['--runs', '1.5']], [['--seed', '1e400']], [[]]])(
  'arguments that cannot be are exit code 2: %j',
  async (args) => {
    const given = args.length === 0 ? [] : [fileURLToPath(journal), ...args]
    const ran = spawnSync(process.execPath, ['--conditions=@keelson/source', fileURLToPath(main), ...given], {
      encoding: 'utf8',
    })
    expect(ran.status).toBe(2)
    expect(ran.stderr).toMatch(/usage: node .*main\.ts <scenario file>/)
  },
)
