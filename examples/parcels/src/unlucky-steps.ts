import assert from 'node:assert/strict'
import { behindFirstRow } from './bad-luck.ts'
import { client } from './client.ts'
import type { Framework } from './environment.ts'
import type { NodeProcess } from './node-process.ts'
import { startNode, type Node } from './node.ts'
import { standstill } from './standstill.ts'
import { until, type Step } from './step.ts'
import type { System } from './system.ts'

/** What these steps are told with. */
interface UnluckyStage {
  /** What the story's keys begin with. */
  readonly key: string
  readonly framework: Framework
  /** One more system on the data of the other nodes. */
  openAnother(): Promise<System>
  /** A process that dies in the middle of its first booking, on data that only `revive` opens again. */
  readonly victim: Promise<NodeProcess>
  revive(): Promise<System>
}

/** The part of the story where handlers throw and processes die. */
export function unluckySteps({ key, framework, openAnother, victim, revive }: UnluckyStage): {
  readonly steps: Step[]
  close(): Promise<void>
} {
  const opened: { readonly system: System; readonly node: Node }[] = []

  async function serve(system: System): Promise<ReturnType<typeof client>> {
    const node = await startNode(system, { PORT: 0, HOST: '127.0.0.1', FRAMEWORK: framework })
    opened.push({ system, node })
    return client(node.url, system.db)
  }

  const nothing = { shipments: 0, events: 0, answers: 0, entries: 0 }
  const once = { shipments: 1, events: 1, answers: 1, entries: 1 }

  const steps: Step[] = [
    {
      name: 'a program error behind the first row: 500, and nothing of the booking is left but a line in the log that it failed; the client tries again with the same key, and has its parcel',
      async run() {
        let isBroken = true
        const broken = behindFirstRow(await openAnother(), () => {
          if (isBroken) throw new Error('a bug of the story')
        })
        const { book, rows, onRecord } = await serve(broken)
        const failed = await book(`${key}-10`)
        assert.equal(failed.status, 500)
        assert.deepEqual(await rows(`${key}-10`), nothing)
        await onRecord(`${key}-10`, [500])
        isBroken = false
        const again = await book(`${key}-10`)
        assert.equal(again.status, 201)
        assert.equal(again.headers.get('idempotent-replayed'), null)
        assert.deepEqual(await rows(`${key}-10`), once)
      },
    },
    {
      name: 'the database stands still: the list is answered out of the cache, a booking is refused with 503 and told when to try again; the database goes on, and so do bookings',
      async run() {
        const still = standstill(await openAnother())
        const { book, list, rows } = await serve(still.system)
        // Beside a busy machine 250 ms are short.
        const booked = async (name: string) => (await book(`${key}-${name}`)).status === 201
        await until('a booking', () => booked('11'))
        const isKept = async () =>
          (await list('m1', '0')).headers.get('cache-status')?.startsWith('keelson; hit') === true
        await until('the list is in the cache', isKept)

        still.begin()
        const answered = await list('m1', '0')
        assert.equal(answered.status, 200)
        assert.match(answered.headers.get('cache-status') ?? '', /^keelson; hit/)
        const refused = await book(`${key}-12`)
        assert.deepEqual([refused.status, refused.json().code], [503, 'store-unavailable'])
        assert.ok(Number(refused.headers.get('retry-after')) > 0)

        still.end()
        await until('a booking again', () => booked('12'))
        assert.deepEqual(await rows(`${key}-12`), once)
      },
    },
    {
      name: 'the process is killed in the middle of a booking, behind its first row',
      async run() {
        const { ready, ended } = await victim
        // Whom nobody answers knows nothing: the tables are looked at in the next step.
        const nobody = { query: () => Promise.reject(new Error('no look here')) } as unknown as System['db']
        await assert.rejects(client(ready.url, nobody).book(`${key}-4`), TypeError)
        assert.deepEqual(await ended, [null, 'SIGKILL'])
      },
    },
    {
      name: 'a new process on the same data, the client tries again: one parcel, one event, one answer, one entry in the log',
      async run() {
        const { book, rows } = await serve(await revive())
        assert.deepEqual(await rows(`${key}-4`), nothing)
        const answer = await book(`${key}-4`)
        assert.equal(answer.status, 201)
        assert.equal(answer.headers.get('idempotent-replayed'), null)
        assert.deepEqual(await rows(`${key}-4`), once)
      },
    },
  ]

  return {
    steps,
    async close() {
      await victim.then(({ end }) => end('SIGKILL')).catch(() => {})
      for (const { system, node } of opened) {
        await node.close()
        await system.close()
      }
    },
  }
}
