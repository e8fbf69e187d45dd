import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import type { client } from './client.ts'
import { runCommand } from './node-process.ts'
import { until, type Step } from './step.ts'
import type { Servers } from './story-nodes.ts'

const TOLD_TWICE = ['webhook.attempt', 'webhook.attempt']

/** The step of the story in which an operator asks what became of a booking. */
export function explainStep({
  key,
  servers,
  first: { book, explain },
}: {
  /** What the story's keys begin with. */
  readonly key: string
  /** Undefined on the embedded stores, which only their own process can look into. */
  readonly servers: Servers | undefined
  readonly first: ReturnType<typeof client>
}): Step {
  return {
    name: 'an operator asks what became of a booking: its claim, its row, the dropped lists, its entry, its event and each attempt',
    async run() {
      const id = `${key}-explained`
      assert.equal((await book(id)).status, 201)
      // An entry is found when it is sealed; the receiver loses the first answer.
      const all = ['idempotency.claim', 'shipment', 'idempotency.effect', 'webhook.event', 'audit.entry', ...TOLD_TWICE]
      await until('all of it is known', async () => isDeepStrictEqual((await explain(id)).toSorted(), all.toSorted()))
      if (servers === undefined) return
      const { code, stdout, stderr } = await runCommand({ ...servers }, ['explain', id])
      assert.equal(code, 0, stderr)
      assert.deepEqual(
        stdout
          .trim()
          .split('\n')
          .map((line) => line.split(' ')[1]),
        await explain(id),
      )
    },
  }
}
