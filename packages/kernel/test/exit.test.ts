import { expect, test } from 'vitest'
import { ended } from '../../../tools/ended.ts'

const run = (code: string): Promise<string> =>
  ended(
    import.meta.dirname,
    `import { createStoreGuard } from '@keelson/kernel'
    import { createLifecycle } from '@keelson/kernel/lifecycle'
    import { transact } from '@keelson/kernel/postgres'
    const never = () => new Promise(() => {})
    const tell = ({ code }) => console.log(code)
    ${code}`,
  )

test('whoever calls through a guard is answered, and a guard without calls keeps no process', async () => {
  const guard = (timeout: string): string => `createStoreGuard({ name: 's', timeout: '${timeout}' })`
  expect(await run(`await ${guard('200ms')}.call(never).catch(tell)`)).toBe('STORE_UNAVAILABLE')
  expect(await run(`await ${guard('1d')}.call(never, { timeout: '200ms' }).catch(tell)`)).toBe('STORE_UNAVAILABLE')
  // A day: a timer of calls that have ended would hold the process for all of it.
  const twice = `for (const i of [1, 2]) console.log(await guard.call(async () => i))`
  expect(await run(`const guard = ${guard('1d')}; ${twice}`)).toBe('1\n2')
  const own = `console.log(await guard.call(async () => 1, { timeout: '1d' }))`
  expect(await run(`const guard = ${guard('200ms')}; ${own}`)).toBe('1')
})

test('a transaction that stands still is given up, and a hook that hangs goes on unawaited', async () => {
  const hangs = `{ kind: 'x', statements: () => [], afterCommit: never }`
  const code = `
    const query = async () => ({ rows: [] })
    const db = { query, transaction: (work) => work({ query }) }
    await transact(db, never, { stall: '200ms' }).catch(tell)
    await transact(db, async () => ({ value: 1, effects: [${hangs}] }), { afterCommitTimeout: '200ms' }).then(console.log)`
  expect(await run(code)).toBe('STORE_UNAVAILABLE\n1')
})

test('work that runs once may wait for timers of the background', async () => {
  const code = `
    const nothing = async () => {}
    const lifecycle = createLifecycle({ begin: nothing, end: nothing, release: nothing, closed: Error })
    const soon = () => new Promise((resolve) => void setTimeout(resolve, 300, 'done').unref())
    console.log(await lifecycle.alone(soon, Error))`
  expect(await run(code)).toBe('done')
})
