import { createStoreGuard, ms, traced, type StoreGuard } from '@keelson/kernel'
import vercelMs from 'ms'
import type { Case } from '../../src/case.ts'
import { hotAsyncPath, hotPath } from '../../src/hot-path.ts'

const resolved = Promise.resolve(1)
const answer = (): Promise<number> => resolved
const details = (): object => ({ op: 'read' })

/** What stands in front of every call. */
export function hotPaths(): Case[] {
  return [
    {
      name: 'store guard in front of a resolved promise',
      base: 'bare await',
      contenders: [
        {
          name: 'keelson guard',
          open() {
            const guard = createStoreGuard({ name: 'bench' })
            return hotAsyncPath('us', () => guard.call(answer))
          },
        },
        { name: 'bare await', open: () => hotAsyncPath('us', answer) },
      ],
      targets: [{ of: 'keelson guard', figure: 'us', atMost: 2 }],
    },
    {
      name: 'a refusal by an open guard',
      contenders: [
        {
          name: 'keelson guard',
          async open() {
            const guard = await openGuard()
            const refused = (): Promise<unknown> => guard.call(answer).catch(() => {})
            return { ...hotAsyncPath('us', refused), close: async () => guard.close() }
          },
        },
      ],
      targets: [{ of: 'keelson guard', figure: 'us', atMost: 20 }],
    },
    {
      name: 'traced, nobody listens',
      base: 'bare call',
      contenders: [
        { name: 'keelson traced', open: () => hotPath('ns', () => traced('bench:call', details, answer)) },
        { name: 'bare call', open: () => hotPath('ns', answer) },
      ],
      targets: [{ of: 'keelson traced', figure: 'ns', atMost: 50 }],
    },
    {
      name: "ms('5s')",
      base: 'ms 2.1.3',
      contenders: [
        { name: 'keelson ms', open: () => hotPath('ns', () => ms('5s')) },
        { name: 'ms 2.1.3', open: () => hotPath('ns', () => vercelMs('5s')) },
      ],
      targets: [{ of: 'keelson ms', figure: 'ns', atMost: 200 }],
    },
  ]
}

/** Its store is away, and no probe comes while we look. */
async function openGuard(): Promise<StoreGuard> {
  const ping = (): Promise<never> => new Promise(() => {})
  const guard = createStoreGuard({ name: 'bench', ping, timeout: '1m', probeEvery: '1s' })
  const away = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
  await guard.call(() => Promise.reject(away)).catch(() => {})
  if (guard.state !== 'open') throw new Error('the guard did not open')
  return guard
}
