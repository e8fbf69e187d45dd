import { expect, test } from 'vitest'
import { register, runSuite, scoreMutants, type Suite, type Tools } from '../../src/conformance/index.ts'
import { counter, counterSuite, type Counter } from './counter.ts'

const names = counterSuite.cases.map(({ name }) => name)

test('a good subject passes all that applies to it, and every subject made is disposed', async () => {
  let disposed = 0
  const report = await runSuite(counterSuite, counter(1, { disposed: () => disposed++ }), { seed: 7 })
  expect(report).toEqual({ suite: 'counter', seed: 7, passed: [names[0], names[2]], failed: [], omitted: [names[1]] })
  expect(disposed).toBe(2)
  const whole = await runSuite(counterSuite, counter(1, { has: ['reset'] }))
  expect(whole).toMatchObject({ passed: names, omitted: [] })
})

test('a failure has the name of its case and the seed; the others run on, unless told to bail', async () => {
  let disposed = 0
  const broken = counter(2, { has: ['reset'], disposed: () => disposed++ })
  const { failed, passed } = await runSuite(counterSuite, broken, { seed: 99 })
  expect(failed.map(({ name }) => name)).toEqual([names[0], names[1]])
  expect(String(failed[0]!.error)).toContain('(seed 99)')
  expect(passed).toEqual([names[2]])
  expect(disposed).toBe(3)
  expect(await runSuite(counterSuite, broken, { bail: true })).toMatchObject({
    passed: [],
    failed: [{ name: names[0] }],
  })
})

test('`only` chooses cases by name, also with a flag that remembers', async () => {
  const { passed, omitted } = await runSuite(counterSuite, counter(1), { only: /count|callers/g })
  expect([passed, omitted]).toEqual([[names[0], names[2]], []])
})

test('the same seed gives the same chance to each case; no seed gives another', async () => {
  const seen: number[][] = []
  const suite: Suite<Counter> = {
    name: 'chance',
    of: 'next',
    cases: ['a', 'b'].map((name) => ({
      name,
      async run(_, { random }: Tools) {
        seen.push([random(), random(), random()])
      },
    })),
  }
  const subject = { make: async () => ({ next: () => 1, dispose: async () => {} }) }
  await runSuite(suite, subject, { seed: 5 })
  await runSuite(suite, subject, { seed: 5 })
  await runSuite(suite, subject)
  expect(seen[0]).toEqual(seen[1])
  expect(seen[0]).toEqual(seen[2])
  expect(seen[0]).not.toEqual(seen[4])
  expect(seen.flat().every((n) => n >= 0 && n < 1)).toBe(true)
})

test('a case knows what its subject says that it can do', async () => {
  const seen: (readonly string[])[] = []
  const suite: Suite<Counter> = {
    name: 's',
    of: 'next',
    cases: [{ name: 'c', run: async (_, { has }) => void seen.push(has) }],
  }
  await runSuite(suite, { has: ['reset'], make: async () => ({ next: () => 1, dispose: async () => {} }) })
  await runSuite(suite, { make: async () => ({ next: () => 1, dispose: async () => {} }) })
  expect(seen).toEqual([['reset'], []])
})

test('`rejects` wants the code, and says what came instead', async () => {
  const found = async (promise: Promise<unknown>): Promise<string> => {
    const suite: Suite<Counter> = {
      name: 's',
      of: 'next',
      cases: [{ name: 'c', run: (_, { rejects }) => rejects(promise, 'BUSY') }],
    }
    const { failed } = await runSuite(suite, { make: async () => ({ next: () => 1, dispose: async () => {} }) })
    return failed.length === 0 ? 'passed' : (failed[0]!.error as Error).message
  }
  expect(await found(Promise.reject(Object.assign(new Error('x'), { code: 'BUSY' })))).toBe('passed')
  expect(await found(Promise.reject(Object.assign(new Error('x'), { code: 'FREE' })))).toContain('expected BUSY')
  expect(await found(Promise.resolve(3))).toContain('it resolved with 3')
})

test('a case that hangs, a subject that cannot be made or disposed, have failed', async () => {
  const hangs: Suite<Counter> = { name: 's', of: 'next', cases: [{ name: 'c', run: () => new Promise(() => {}) }] }
  const report = await runSuite(hangs, counter(), { timeout: 20 })
  expect(String(report.failed[0]?.error)).toContain(`'c' did not end within 20 ms`)
  const none = await runSuite(counterSuite, { make: () => Promise.reject(new Error('no server')) })
  expect(none.failed).toHaveLength(2)
  const leaks = counter(1, {
    disposed() {
      throw new Error('still open')
    },
  })
  expect((await runSuite(counterSuite, leaks)).failed).toHaveLength(2)
  await expect(runSuite(counterSuite, counter(), { timeout: '1w' as never })).rejects.toMatchObject({
    code: 'OPTION_INVALID',
  })
})

test('mutants are caught by a case or survive by name; one that cannot be made is an error', async () => {
  const score = await scoreMutants(counterSuite, { 'in steps of 2': counter(2), constant: counter(0), good: counter() })
  expect(score).toEqual({
    caught: 2,
    total: 3,
    survivors: ['good'],
    caughtBy: { 'in steps of 2': names[0], constant: names[0] },
  })
  const unmade = { unmade: { make: () => Promise.reject(new Error('no server')) } }
  await expect(scoreMutants(counterSuite, unmade)).rejects.toThrow(/broken subject 'unmade'.*no server/)
})

test('a mutant meets the case that it names before the others, which count only when that one finds nothing', async () => {
  const caughtBy = names[2]!
  const mutants = {
    known: { ...counter(0), caughtBy },
    another: counter(0),
    mistaken: { ...counter(2), caughtBy },
    good: { ...counter(), caughtBy },
  }
  const score = await scoreMutants(counterSuite, mutants)
  expect(score.caughtBy).toEqual({ known: caughtBy, another: names[0], mistaken: names[0] })
  expect(score.survivors).toEqual(['good'])
})

test('what is wired wrongly is neither good nor caught: it is an error that says how', async () => {
  const bare = { make: async () => ({ next: () => 1 }) as never }
  const other = { make: async () => ({ clock: 1, async dispose() {} }) as never }
  for (const wrong of [bare, other]) {
    const { failed } = await runSuite(counterSuite, wrong)
    expect(String(failed[0]?.error)).toContain('make() must answer { next, dispose() }')
    await expect(scoreMutants(counterSuite, { wrong })).rejects.toThrow(/broken subject 'wrong'/)
  }
  const good = counter()
  const inStep = { make: () => ({ next: () => 1, dispose: async () => {} }) as never }
  expect((await runSuite(counterSuite, inStep)).failed.map(({ name }) => name)).toEqual([names[0], names[2]])
  for (const subject of [undefined, {}, () => good, { ...good, has: 'reset' }]) {
    await expect(runSuite(counterSuite, subject as never)).rejects.toThrow('a subject of the counter suite must be')
    const runner = { describe: (_: string, define: () => void) => define(), it: () => {} }
    expect(() => register(counterSuite, subject as never, runner)).toThrow('a subject of the counter suite must be')
  }
  await expect(runSuite({} as never, good)).rejects.toThrow('the suite must be')
  await expect(scoreMutants(counterSuite, {})).rejects.toThrow('no broken subjects')
  for (const wrong of [{ sead: 1 }, { seed: Number.NaN }, { only: 'counts' }, { only: /xyzzy/ }]) {
    await expect(runSuite(counterSuite, good, wrong as never)).rejects.toMatchObject({ code: 'OPTION_INVALID' })
  }
})

test('a dispose that fails does not hide what the case has found', async () => {
  const both = counter(0, {
    disposed() {
      throw new Error('still open')
    },
  })
  const { failed } = await runSuite(counterSuite, both)
  expect(String(failed[0]?.error)).toMatch(/expected.*\(seed \d+\)/s)
})

test('a comparison of much that differs says so at once, in few words', async () => {
  const suite: Suite<Counter> = {
    name: 's',
    of: 'next',
    cases: [
      { name: 'c', run: async (_, { equal }) => equal(Buffer.alloc(200_000, 1), Buffer.alloc(200_000, 2), 'bytes') },
    ],
  }
  const { failed } = await runSuite(suite, { make: async () => ({ next: () => 1, dispose: async () => {} }) })
  const { message } = failed[0]!.error as Error
  expect(message).toMatch(/^bytes: expected <Buffer 02 .*\nbut got <Buffer 01 /)
  expect(message.length).toBeLessThan(1_000)
})
