import { startPostgres } from '../../../tools/servers/postgres.ts'
import { startRedis } from '../../../tools/servers/redis.ts'
import { crash } from '../../../tools/crash/crash.ts'
import { linesOf } from '../../../tools/crash/lines.ts'
import type { Area, Case, Contender, Figures } from '../../src/case.ts'
import { FINDINGS } from './findings.ts'

const KEELSON = 'keelson'
/** Writes that are in flight when their process is killed. */
const RUNS = Number(process.env['RUNS'] ?? (process.env['LONG'] === '1' ? 100_000 : 304))
/** A broken booking may hold up many others. */
const ANSWER_MS = 3_600_000

const crashes: Area = () => [killed()]
export default crashes

/**
 * A booking over HTTP on Express, Postgres and Redis: its row, an audit entry, a webhook, the merchant's cached list and
 * the answer. Processes are killed around each flight to a server and at random; half of the clients come back.
 */
function killed(): Case {
  return {
    name: 'killed in the middle of a booking',
    note: 'broken: bookings with at least one of the findings behind it. Each is looked at as its process left it, and after a retry',
    exact: true,
    contenders: [
      // What the tests of the example run too.
      contender(KEELSON, new URL('../../../examples/parcels/test/crash/express-scenario.ts', import.meta.url)),
      contender('glued stack', new URL('glued-scenario.ts', import.meta.url)),
    ],
    targets: [{ of: KEELSON, figure: 'broken', atMost: 0 }],
  }
}

function contender(name: string, file: URL): Contender {
  return {
    name,
    open: () => ({
      async run(): Promise<Figures> {
        // Schemas, keys and workers of nobody else.
        await using postgres = await startPostgres()
        await using redis = await startRedis()
        const urls = { databaseUrl: postgres.url, redisUrl: redis.url }
        const report = await crash(file, { runs: RUNS, ...urls, answerMs: ANSWER_MS })
        console.log([`${name}:`, ...linesOf(report)].join('\n  '))
        const found = FINDINGS.map((finding) => [finding, report.broken.filter((one) => one.includes(finding)).length])
        const { runs, retries, broken, boundaries } = report
        return {
          runs,
          retries,
          'boundaries met': boundaries.met,
          boundaries: boundaries.all,
          broken: broken.length,
          ...(Object.fromEntries(found) as Figures),
        }
      },
    }),
  }
}
