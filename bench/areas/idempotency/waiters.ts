import { randomUUID } from 'node:crypto'
import type { Case, Contender } from '../../src/case.ts'
import { startChild } from '../../src/child.ts'
import type { Services } from '../../src/services.ts'
import { quantile } from '../../src/statistics.ts'

const WAITERS = 1000
const KEELSON = 'keelson on Redis'

/** How long after the owner a duplicate is answered: half of them wait in the owner's process, half in another. */
export function waiters(services: Services): Case[] {
  const contender = (name: string, kind: 'keelson' | 'node-idempotency'): Contender => ({
    name,
    async open() {
      const args = [kind, await services.redisUrl(), `${services.id}:waiters`]
      const start = () => startChild(new URL('waiters-process.ts', import.meta.url), args)
      const [owner, other] = await Promise.all([start(), start()])
      return {
        async run() {
          const key = randomUUID()
          await owner.ask({ what: 'own', key })
          for (const child of [owner, other]) await child.ask({ what: 'wait', key, count: WAITERS / 2 })
          const answeredMs = await owner.ask<number>({ what: 'finish' })
          const answers = [
            ...(await owner.ask<number[]>({ what: 'answers' })),
            ...(await other.ask<number[]>({ what: 'answers' })),
          ]
          const waited = answers.map((atMs) => Math.max(0, atMs - answeredMs))
          return { 'p50 ms': quantile(waited, 0.5), 'p99 ms': quantile(waited, 0.99), 'last ms': quantile(waited, 1) }
        },
        async close() {
          await owner.stop()
          await other.stop()
        },
      }
    },
  })
  return [
    {
      name: `${WAITERS} waiters of one key in two processes, after their owner's answer`,
      note: '@node-idempotency/core: inProgressStrategy wait, polling every 100 ms (its default)',
      contenders: [contender(KEELSON, 'keelson'), contender('@node-idempotency/core', 'node-idempotency')],
      targets: [{ of: KEELSON, figure: 'p99 ms', atMost: 5 }],
    },
  ]
}
