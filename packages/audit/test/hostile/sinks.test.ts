import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { LOG, openStage, type Stage } from '../shipping/stage.ts'
import type { Outcome, Sink } from '../../src/index.ts'
import { entry, open, privacy, sinkOf } from './stage.ts'

const allOk = openStage.bind(null, ({ entries }) => entries.map(() => 'ok'))

/** Runs a sink of which the first answer is something else. */
async function answering(answer: () => unknown): Promise<{ stage: Stage; lastError: string | null }> {
  const stage = allOk()
  let isFirst = true
  const deliver: Sink['deliver'] = async ({ entries }) => {
    if (!isFirst) return entries.map(() => 'ok')
    isFirst = false
    return answer() as Outcome[]
  }
  await stage.seal(2)
  const shipper = stage.shipper({ deliver })
  await stage.run(shipper, 40_000)
  return { stage, lastError: shipper.status().lastError }
}

describe('an answer that is none settles nothing, and is asked for again', () => {
  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a text', 'ok'],
    ['one too many', ['ok', 'ok', 'ok']],
    ['nulls', [null, null]],
    ['words of others', ['OK', 200]],
    ['a halt without a reason', [{ halt: undefined }, 'ok']],
    [
      'a time that is none',
      [
        { retry: 'busy', after: NaN },
        { retry: 'busy', after: -1 },
      ],
    ],
    ['a time as a text', [{ retry: 'busy', after: 'soon' }, 'ok']],
    ['a reason that is none', [{ retry: {} }, { retry: null }]],
  ])('%s', async (_, answer) => {
    const { stage, lastError } = await answering(() => answer)
    expect(await stage.cursor()).toBe(2)
    expect(lastError).toEqual(expect.any(String))
    expect(await stage.store.deadLetters.list(LOG, { limit: 9 })).toEqual([])
  })

  test.each<[string, unknown]>([
    ['null', null],
    ['undefined', undefined],
    ['a text', 'no'],
    ['a time that is none', Object.assign(new Error('busy'), { retryAfter: NaN })],
    ['words that are none', { message: { secret: 1 } }],
  ])('what is thrown: %s', async (_, thrown) => {
    const { stage, lastError } = await answering(() => {
      throw thrown
    })
    expect(await stage.cursor()).toBe(2)
    expect(lastError).toEqual(expect.any(String))
  })

  test('a refusal without a reason is a dead letter all the same, and a long reason is cut', async () => {
    const { stage } = await answering(() => [{ reject: null }, { reject: 'x'.repeat(100_000) }])
    expect(await stage.cursor()).toBe(2)
    const reasons = (await stage.store.deadLetters.list(LOG, { limit: 9 })).map(({ reason }) => reason)
    expect(reasons.map((reason) => reason.length)).toEqual(['no reason given'.length, 2_000])
  })
})

test('a sink that could not be opened is opened again, and says why meanwhile', async () => {
  const stage = allOk()
  await stage.seal(2)
  const opened: (string | null)[] = []
  let isAway = true
  const shipper = stage.shipper({
    async open(state) {
      if (isAway) throw new Error('no such folder')
      opened.push(state)
    },
  })
  await expect(shipper.turn()).rejects.toThrow('no such folder')
  await expect(shipper.turn()).rejects.toThrow('no such folder')
  expect(shipper.status().lastError).toBe('no such folder')
  isAway = false
  await stage.run(shipper)
  expect(opened).toEqual([null])
  expect(await stage.cursor()).toBe(2)
})

test('who flushes to one that cannot be opened is told which, and runOnce is not done', async () => {
  const log = open({ sinks: [sinkOf({ open: async () => Promise.reject(new Error('no such folder')) })] })
  await log.record(entry)
  await expect(log.flush({ to: 'shipped', timeout: '5s' })).rejects.toMatchObject({
    code: 'FLUSH_TIMEOUT',
    message: expect.stringContaining('siem'),
  })
  expect(await log.runOnce({ budget: '5s' })).toEqual({ done: false })
})

test('one that hangs while it is opened is given up', async () => {
  const stage = allOk()
  await stage.seal(1)
  const shipper = stage.shipper({ open: () => new Promise(() => {}), timeoutMs: 500 })
  const turn = shipper.turn()
  turn.catch(() => {})
  await stage.clock.advance(501)
  await expect(turn).rejects.toThrow('no answer in 500 ms')
})

describe('what was taken out of the log', () => {
  test('without its bytes it is a dead letter, also when it is replayed', async () => {
    const stage = allOk()
    await stage.seal(3)
    const { read, find } = stage.store
    const without = <T extends { leaf: { index: number } }>(row: T): T =>
      row.leaf.index === 1 ? { ...row, bytes: null } : row
    Object.assign(stage.store, {
      read: async (...given: Parameters<typeof read>) => (await read(...given)).map(without),
      find: async (...given: Parameters<typeof find>) => without((await find(...given))!),
    })
    const shipper = stage.shipper()
    await stage.run(shipper)
    expect(stage.has).toEqual([0, 2])
    const dead = async () => stage.store.deadLetters.list(LOG, { limit: 9 })
    expect(await dead()).toMatchObject([{ index: 1, reason: 'its bytes are missing', again: false }])
    await stage.store.deadLetters.unbury(LOG, {})
    await stage.run(shipper, 2_000)
    expect(await dead()).toMatchObject([{ index: 1, again: false }])
    expect(await stage.cursor()).toBe(3)
  })

  test('with its leaf it is passed by, and at the end of the log it is waited for without haste', async () => {
    const stage = allOk()
    await stage.seal(5)
    const { read } = stage.store
    const gone = new Set([1, 4])
    Object.assign(stage.store, {
      read: async (...given: Parameters<typeof read>) =>
        (await read(...given)).filter(({ leaf }) => !gone.has(leaf.index)),
    })
    const shipper = stage.shipper()
    await stage.run(shipper)
    expect(stage.has).toEqual([0, 2, 3])
    expect(await shipper.turn()).toBeGreaterThan(0)
  })
})

test('two who flush at once ship each entry once', async () => {
  const sink = sinkOf({ maxBatchEntries: 3 })
  const log = open({ sinks: [sink] })
  for (let i = 0; i < 20; i++) await log.record(entry)
  await Promise.all([log.flush({ to: 'shipped' }), log.flush({ to: 'shipped' }), log.start()])
  await log.flush({ to: 'shipped' })
  expect(sink.has).toHaveLength(20)
})

describe('a sink that never answers', () => {
  const never = () => new Promise<never>(() => {})

  test('holds up neither a stop nor a close, nor what is closed behind it', async () => {
    const closed: string[] = []
    const log = open({
      sinks: [
        sinkOf({ deliver: never, close: never, timeoutMs: 300 }),
        sinkOf({
          name: 'other',
          close: async () => {
            closed.push('other')
            throw new Error('it was closed already')
          },
        }),
      ],
    })
    await log.start()
    await log.record(entry)
    await log.stop({ drain: 100 })
    await log.close()
    expect(closed).toEqual(['other', 'other'])
    await expect(log.record(entry)).rejects.toMatchObject({ code: 'CLOSED' })
  })

  test('does not keep a process that closes from going on', async () => {
    const ended = spawnSync(
      process.execPath,
      ['--conditions=@keelson/source', '--no-warnings', join(import.meta.dirname, 'hanging-worker.ts')],
      { encoding: 'utf8', timeout: 60_000 },
    )
    expect(ended).toMatchObject({ status: 0, stdout: 'flushed\nclosed\n' })
  })

  test('who flushes is told when the log is closed', async () => {
    const log = open({ sinks: [sinkOf({ deliver: never })] })
    await log.record(entry)
    const flushed = log.flush({ to: 'shipped', timeout: '1h' })
    flushed.catch(() => {})
    await log.close()
    await expect(flushed).rejects.toMatchObject({ code: expect.stringMatching(/CLOSED|FLUSH_TIMEOUT/) })
  })

  test.each<[string, Sink['erase']]>([
    [
      'throws',
      () => {
        throw new Error('no')
      },
    ],
    [
      'rejects',
      async () => {
        throw new Error('no')
      },
    ],
    ['never ends', never],
  ])('an erasure that %s there is done here, and says so', async (_, erase) => {
    const { personal } = await import('../../src/index.ts')
    const log = open({ privacy, sinks: [sinkOf({ erase: erase!, timeoutMs: 50 }), sinkOf({ name: 'other' })] })
    await log.record({ ...entry, data: { name: personal('u_9', 'Ann') } })
    expect(await log.eraseSubject('acme', 'u_9', { reason: 'asked' })).toMatchObject({ keys: 1, unreached: ['siem'] })
  })
})
