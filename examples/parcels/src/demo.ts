import { enableCompileCache } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

// The story's processes load the same sources: all but the first find them compiled.
const compiled = (process.env['NODE_COMPILE_CACHE'] ??= join(tmpdir(), 'parcels-demo'))
enableCompileCache(compiled)
const { openStory } = await import('./story.ts')

/** Tells the story in plain sentences. `--keep` leaves the node up, `--json` prints what was done for machines. */
const keep = process.argv.includes('--keep')
const json = process.argv.includes('--json')
const say = (line: string): void => void (json || console.log(line))
const startMs = performance.now()
const done: { step: number; name: string; ok: boolean; ms: number }[] = []

say('Parcels: merchants book shipments over HTTP. Each booking is one commit: its row, its event, its answer.')
const { DATABASE_URL: databaseUrl, REDIS_URL: redisUrl } = process.env
const story = await openStory({ databaseUrl, redisUrl })
const nodes = story.nodes.map(({ framework, url }) => `${framework} ${url}`).join(', ')
say(`${story.nodes.length} nodes on one database: ${nodes}\n`)
try {
  for (const [index, { name, run }] of story.steps.entries()) {
    const stepMs = performance.now()
    const failure = await run().then(
      () => undefined,
      (error: Error) => error,
    )
    const step = index + 1
    const ms = Math.round(performance.now() - stepMs)
    done.push({ step, name, ok: failure === undefined, ms })
    say(`${failure === undefined ? '✓' : '✗'} ${String(step).padStart(2, '0')} ${name} (${ms} ms)`)
    if (failure !== undefined) {
      console.error(failure)
      process.exitCode = 1
      break
    }
  }
} finally {
  if (keep && process.exitCode === undefined) say(`\nStill up: ${nodes} (Authorization: Bearer m1). Ctrl-C ends it.`)
  else await story.close()
}
const ok = done.filter((step) => step.ok).length
const seconds = ((performance.now() - startMs) / 1000).toFixed(1)
if (json) console.log(JSON.stringify(done))
else console.log(`\ndemo: ${ok} of ${story.steps.length} steps ok in ${seconds} s`)
if (keep) process.once('SIGINT', () => void story.close())
