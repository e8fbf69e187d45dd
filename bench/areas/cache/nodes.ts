import { randomUUID } from 'node:crypto'
import type { Case, Contender, Figures } from '../../src/case.ts'
import { startChild, type Child } from '../../src/child.ts'
import type { Services } from '../../src/services.ts'
import { quantile } from '../../src/statistics.ts'

const NODES = 8
const CALLERS = 1_000
const LOAD_MS = 100
/** Time for both processes to have heard the question. */
const SOON_MS = 50
const KEELSON = 'keelson'
const BENTOCACHE = 'bentocache'

/** What several processes have of one cache on Redis. */
export function nodes(services: Services): Case[] {
  return [
    {
      name: `an invalidation that ${NODES} nodes have applied, one after the other`,
      note: 'each node is a process; bentocache tells its bus and waits for nobody',
      runMs: 600,
      contenders: [KEELSON, BENTOCACHE].map((kind) =>
        ofProcesses(services, kind, NODES, async ([author], forMs) => {
          const tookMs = await author!.ask<number[]>({ what: 'invalidate', forMs })
          return { 'p50 ms': quantile(tookMs, 0.5), 'p99 ms': quantile(tookMs, 0.99) }
        }),
      ),
      targets: [{ of: KEELSON, figure: 'p50 ms', atMost: 1 }],
    },
    {
      name: `${CALLERS} callers in each of two processes, one missing key, a load of ${LOAD_MS} ms`,
      note: 'wall: from the first call to the last answer, over the load',
      warmUpMs: 1,
      contenders: [KEELSON, BENTOCACHE].map((kind) => ofProcesses(services, kind, 2, stampede)),
      targets: [
        { of: KEELSON, figure: 'loads', atMost: 1 },
        { of: KEELSON, figure: 'wall ms', atMost: 60 },
      ],
    },
  ]
}

async function stampede(processes: readonly Child[]): Promise<Figures> {
  const atMs = Number(process.hrtime.bigint()) / 1e6 + SOON_MS
  const question = { what: 'stampede', key: randomUUID(), callers: CALLERS, loadMs: LOAD_MS, atMs }
  const ended = await Promise.all(processes.map((one) => one.ask<{ loads: number; endMs: number }>(question)))
  return {
    loads: ended.reduce((sum, { loads }) => sum + loads, 0),
    'wall ms': Math.max(...ended.map(({ endMs }) => endMs)) - atMs - LOAD_MS,
  }
}

function ofProcesses(
  services: Services,
  kind: string,
  count: number,
  run: (processes: readonly Child[], forMs: number) => Promise<Figures>,
): Contender {
  return {
    name: kind,
    async open() {
      const args = [kind, await services.redisUrl(), `${services.id}${randomUUID().slice(0, 8)}`]
      const start = () => startChild(new URL('node-process.ts', import.meta.url), args)
      const processes = await Promise.all(Array.from({ length: count }, start))
      return {
        run: (forMs) => run(processes, forMs),
        close: async () => void (await Promise.all(processes.map((one) => one.stop()))),
      }
    },
  }
}
