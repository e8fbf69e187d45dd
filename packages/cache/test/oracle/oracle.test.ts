import { expect, test } from 'vitest'
import { systemClock } from '@keelson/kernel'
import { oracle, type OracleNode, type OracleSource } from '@keelson/cache/conformance'
import { goodSteps, storeOfSteps, type Steps } from '../../src/conformance/store-of-steps.ts'
import { referenceCache } from './reference-cache.ts'

const LIMITS = { maxTtlMs: 3_600_000, maxLoadMs: 3_600_000 }

/** Three caches over one store of these steps. */
function threeOver(wrong: Partial<Steps> = {}, o: { stampAfterLoad?: boolean } = {}) {
  return async (source: OracleSource): Promise<readonly OracleNode[]> => {
    const { store } = storeOfSteps({ ...goodSteps, ...wrong }, systemClock)
    return Array.from({ length: 3 }, () => referenceCache(store.open('oracle', LIMITS), source, o))
  }
}

test('a good cache is never stale, and hits', async () => {
  const report = await oracle(threeOver())
  expect(report).toMatchObject({ stale: 0, failed: 0, refused: 0, examples: [], errors: [] })
  expect(report.reads).toBeGreaterThanOrEqual(5_000)
  expect(report.writes).toBeGreaterThan(50)
  expect(report.loads / report.reads).toBeLessThan(0.6)
})

const broken: Record<string, Parameters<typeof threeOver>> = {
  'a stamp that is taken after the load': [{}, { stampAfterLoad: true }],
  'a fill that is never refused': [{ moved: () => false }],
  'a fill with the stamp of its end': [{ stampOf: (_, { clock }) => clock, tagsOf: () => [] }],
  'a bump that is lost now and then': [{ bumped: ({ tags }) => (Math.random() < 0.1 ? [] : tags) }],
}
test.each(Object.keys(broken))('%s is seen', async (name) => {
  const report = await oracle(threeOver(...broken[name]!))
  expect(report.stale).toBeGreaterThan(0)
  const [first] = report.examples
  expect(first!.got).toBeLessThan(first!.acknowledged)
  expect(report.examples.length).toBeLessThanOrEqual(10)
})

test('what is refused and what fails is counted, and does not count as a read', async () => {
  let calls = 0
  const makeNodes = async (source: OracleSource): Promise<readonly OracleNode[]> => [
    {
      async read(key) {
        if (++calls % 100 === 0) throw new Error('read failed')
        return source.load(key)
      },
      async write() {
        throw new Error('not acknowledged')
      },
    },
  ]
  const report = await oracle(makeNodes, { reads: 300, writes: 0, maxLoadMs: 0 })
  expect(report).toMatchObject({ stale: 0, writes: 0 })
  expect(report.failed).toBeGreaterThan(0)
  expect(report.refused).toBeGreaterThan(0)
  expect(report.errors).toContain('Error: read failed')
})

test('it goes on until what is done meanwhile is over, and rejects with it', async () => {
  let ended = false
  const during = async (): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, 100))
    ended = true
  }
  await oracle(threeOver(), { reads: 1, writes: 1, during })
  expect(ended).toBe(true)
  const failing = oracle(threeOver(), { during: () => Promise.reject(new Error('the server did not start')) })
  await expect(failing).rejects.toThrow('the server did not start')
})

test('a wrong option is named', async () => {
  await expect(oracle(threeOver(), { reads: 0 })).rejects.toMatchObject({ code: 'OPTION_INVALID' })
})
