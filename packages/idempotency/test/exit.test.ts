import { expect, test } from 'vitest'
import { ended } from '../../../tools/ended.ts'

const run = (code: string): Promise<string> =>
  ended(
    import.meta.dirname,
    `import { createIdempotency, memoryStore } from '@keelson/idempotency'
    const never = () => new Promise(() => {})
    const call = { scope: 's', op: 'o', key: 'k', wait: '200ms' }
    ${code}`,
  )

test('a duplicate of a run that hangs is answered, in a process that has nothing else to do', async () => {
  const code = `
    const idempotency = createIdempotency({ store: memoryStore() })
    void idempotency.run(call, never)
    console.log((await idempotency.run(call, never)).error().code)`
  expect(await run(code)).toBe('KEY_IN_USE')
})

test('a replay whose guard hangs is given, in a process that has nothing else to do', async () => {
  // Without a store: its connection would keep the process.
  const code = `
    import { systemClock } from '@keelson/kernel'
    import { createBeforeReplay } from '../src/before-replay.ts'
    const guards = [{ kind: 'x', beforeReplay: never }]
    const logger = { warn: (_, text) => console.log(text) }
    const beforeReplay = createBeforeReplay({ guards, failed() {}, clock: systemClock, logger })
    await beforeReplay([{ kind: 'x', hint: 1 }], { operationId: 'id', scope: 's', op: 'o' })
    console.log('given')`
  expect(await run(code)).toBe('a replay guard takes too long and goes on unawaited\ngiven')
})
