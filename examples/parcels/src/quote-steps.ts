import assert from 'node:assert/strict'
import type { client } from './client.ts'
import { startNodeProcess, type NodeProcess } from './node-process.ts'
import { until, type Step } from './step.ts'

/** What these steps are told with. */
interface QuoteStage {
  readonly carrier: NodeProcess
  readonly first: ReturnType<typeof client>
  /** Of the node behind that client. */
  readonly url: string
}

/** The part of the story about somebody else's service, which fails. */
export function quoteSteps({ carrier, first: { quote, breaker }, url }: QuoteStage): {
  readonly steps: Step[]
  close(): Promise<void>
} {
  let again: NodeProcess | undefined

  const steps: Step[] = [
    {
      name: 'the carrier is asked for a price, and knows our request by its correlation id',
      async run() {
        const answer = await quote()
        assert.equal(answer.status, 200)
        assert.equal(answer.json().reference, answer.headers.get('x-correlation-id'))
        assert.equal(answer.headers.get('x-fallback'), null)
      },
    },
    {
      name: 'the carrier is killed: the last known price, marked, until it is no longer asked (its breaker is open); it comes back, and so do prices',
      async run() {
        await carrier.end('SIGKILL')
        await until('the breaker is open', async () => {
          const answer = await quote()
          assert.equal(answer.status, 200)
          assert.equal(answer.headers.get('x-fallback'), 'last-known')
          return (await breaker()) === 'open'
        })
        // While nobody listened there, another program of this machine may have been given the port.
        await until('the carrier is back', async () => {
          again = await startNodeProcess({ PORT: new URL(carrier.ready.url).port }, 'carrier.ts').catch(ifInUse)
          return again !== undefined
        })
        await until('the carrier is asked again', async () => (await quote()).headers.get('x-fallback') === null)
        assert.equal(await breaker(), 'closed')
        // Somebody else's failure is no reason to take this node out.
        assert.equal((await fetch(`${url}/health/ready`)).status, 200)
      },
    },
  ]
  return { steps, close: async () => void (await (again ?? carrier).end('SIGKILL')) }
}

function ifInUse(error: unknown): undefined {
  if (!String(error).includes('EADDRINUSE')) throw error
}
