import { createReceiver } from '../../src/verify/index.ts'
import { openFrom } from './open-inbox.ts'
import { github } from '../../src/verify/index.ts'

/** One of several processes on one inbox: says that it runs, ends when it is told, says what came of it. */
const { inbox } = openFrom(process.env)
const receiver = createReceiver({ verifier: github({ secrets: ['hush'] }), inbox, scope: 'from-github' })
let finish: () => void
const finished = new Promise<void>((resolve) => (finish = resolve))

process.on('message', async (message: { body: string; headers: Record<string, string> } | 'finish') => {
  if (message === 'finish') return finish()
  const { outcome } = await receiver.receive(message, async () => {
    process.send?.('runs')
    await finished
  })
  process.send?.(outcome)
})
process.on('disconnect', () => process.exit())
process.send?.({ ready: true })
