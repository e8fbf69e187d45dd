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
