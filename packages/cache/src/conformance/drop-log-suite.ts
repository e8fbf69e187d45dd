import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Case, Suite, Tools } from '@keelson/kernel/conformance'
import type { DropLog, DropRow } from '../store.ts'
import type { DropLogUnderTest } from './drop-log-under-test.ts'
import { LONG_MS, someName } from './stage.ts'

/** Time of the database in which what was promised has happened, on any machine. */
const PATIENCE_MS = 10_000
const LOOK_EVERY_MS = 10

/** What a case of a log works with. */
interface LogStage extends Tools, DropLogUnderTest {
  /** Of a cache that nobody else has. */
  readonly name: string
  elapse(ms: number): Promise<void>
  /** Rows of the tags, of one operation. */
  rows(tags: readonly string[], more?: Partial<DropRow>): DropRow[]
  /** The same, committed. */
  committed(tags: readonly string[], more?: Partial<DropRow>): Promise<DropRow[]>
  /** The tags that `pending` answers, sorted. */
  pendingTags(o?: { operation?: string; limit?: number }): Promise<string[]>
  /** Claims all that is there: the tags that were applied, sorted; fails when `say` is not how many. */
  claimTags(o?: { olderThanMs?: number; limit?: number }): Promise<string[]>
  until(what: string, isSo: () => Promise<boolean>): Promise<void>
}

const tagsOf = (rows: readonly DropRow[]): string[] => rows.map(({ tag }) => tag).toSorted()
/** By their own parts: a driver's row may have more. */
const plain = (rows: readonly DropRow[]): DropRow[] =>
  rows
    .map(({ id, name, scope, tag, operation }) => ({ id, name, scope, tag, operation }))
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))

function logCase(
  name: string,
  run: (stage: LogStage) => Promise<void>,
  ...needs: readonly string[]
): Case<DropLogUnderTest> {
  return { name, ...(needs.length === 0 ? {} : { needs }), run: (under, tools) => run(stageOf(under, tools)) }
}

function stageOf(under: DropLogUnderTest, tools: Tools): LogStage {
  const { log, db, elapse = (ms: number) => sleep(ms) } = under
  const name = someName()
  const stage: LogStage = {
    ...tools,
    log,
    db,
    elapse,
    name,
    rows(tags, more) {
      const operation = randomUUID()
      return tags.map((tag) => ({ id: randomUUID(), name, scope: 'acme', tag, operation, ...more }))
    },
    async committed(tags, more) {
      const rows = stage.rows(tags, more)
      await insert(under, rows)
      return rows
    },
    pendingTags: async (o) => tagsOf(await log.pending(name, o)),
    async claimTags(o) {
      const applied: DropRow[] = []
      const said = await log.claim(name, { olderThanMs: 0, limit: 500, ...o }, async (rows) => {
        applied.push(...rows)
      })
      tools.equal(said, applied.length, 'how many')
      return tagsOf(applied)
    },
    async until(what, isSo) {
      for (let waitedMs = 0; ; waitedMs += LOOK_EVERY_MS) {
        if (await isSo()) return
        tools.ok(waitedMs < PATIENCE_MS, `after ${PATIENCE_MS} ms of the database's time: ${what}`)
        await elapse(LOOK_EVERY_MS)
      }
    },
  }
  return stage
}

async function insert({ log, db }: DropLogUnderTest, rows: readonly DropRow[]): Promise<void> {
  const { text, values } = log.statement(rows)
  await db.transaction((tx) => tx.query(text, values))
}

/** A claim that holds its rows until it is told how to end. */
async function holding(
  log: DropLog,
  name: string,
  limit = 500,
): Promise<{ readonly rows: readonly DropRow[]; end(error?: Error): Promise<number> }> {
  const held = Promise.withResolvers<readonly DropRow[]>()
  const over = Promise.withResolvers<void>()
  const claim = log.claim(name, { olderThanMs: 0, limit }, (rows) => {
    held.resolve(rows)
    return over.promise
  })
  claim.catch(() => {})
  void claim.then(() => held.resolve([]), held.reject)
  return {
    rows: await held.promise,
    end(error) {
      if (error === undefined) over.resolve()
      else over.reject(error)
      return claim
    },
  }
}

const visibleCases: readonly Case<DropLogUnderTest>[] = [
  logCase('rows are there once their transaction has committed', async (stage) => {
    const { log, db, name, rows, pendingTags, equal } = stage
    const mine = rows(['user:1', 'org:1'])
    const { text, values } = log.statement(mine)
    await db.transaction(async (tx) => {
      await tx.query(text, values)
      if (stage.has.includes('parallel')) equal(await pendingTags(), [], 'before COMMIT')
    })
    equal(plain(await log.pending(name)), plain(mine))
  }),

  logCase('rows that were rolled back never were', async (stage) => {
    const { log, db, name, rows, pendingTags, claimTags, equal } = stage
    const { text, values } = log.statement(rows(['user:1']))
    const stop = new Error('rolled back')
    const thrown = await db
      .transaction(async (tx) => {
        await tx.query(text, values)
        throw stop
      })
      .catch((error: unknown) => error)
    equal(thrown, stop)
    equal([await pendingTags(), await claimTags()], [[], []])
    equal(await log.backlog(name), { rows: 0, oldestMs: 0 })
  }),

  logCase('many rows are one statement, and come back as they were', async ({ log, db, name, rows, equal }) => {
    const odd = [
      '\u0001kuser',
      '\u0001a',
      "it's",
      'a"b',
      'a,b',
      '{a}',
      '\\',
      'é😀',
      '$1',
      'x'.repeat(256),
      '\u0001ks3:a\u0000b',
    ]
    const mine = [...rows(odd, { scope: "m'1 😀" }), ...rows(Array.from({ length: 1_000 }, (_, i) => `t${i}`))]
    const { text, values } = log.statement(mine)
    equal(typeof text, 'string')
    await db.transaction((tx) => tx.query(text, values))
    equal(plain(await log.pending(name, { limit: 5_000 })), plain(mine))
    await log.done(mine.map(({ id }) => id))
    equal(await log.backlog(name), { rows: 0, oldestMs: 0 }, 'all are done')
  }),

  logCase('rows of one operation are found by it, all the others are left', async (stage) => {
    const { log, name, committed, pendingTags, equal } = stage
    const mine = await committed(['user:1', 'org:1'])
    await committed(['user:2'])
    equal(await pendingTags({ operation: mine[0]!.operation }), ['org:1', 'user:1'])
    equal(await pendingTags({ operation: randomUUID() }), [])
    equal(await pendingTags(), ['org:1', 'user:1', 'user:2'])
    equal((await log.pending(name, { limit: 2 })).length, 2)
    equal((await log.pending(name, { operation: mine[0]!.operation, limit: 1 })).length, 1)
  }),

  logCase('names are apart: what waits, what is claimed, what is counted', async (stage) => {
    const { log, name, committed, claimTags, pendingTags, equal } = stage
    const other = `${name.slice(0, -1)}x`
    await committed(['mine'])
    const foreign = await committed(['theirs'], { name: other })
    equal(await pendingTags(), ['mine'])
    equal(await pendingTags({ operation: foreign[0]!.operation }), [])
    equal((await log.backlog(name)).rows, 1)
    equal(await claimTags(), ['mine'])
    equal([await pendingTags(), tagsOf(await log.pending(other))], [[], ['theirs']])
    equal(await log.claim(name, { olderThanMs: 0, limit: 10 }, async () => {}), 0)
    equal((await log.backlog(other)).rows, 1)
    for (const alike of [`${name}x`, name.slice(0, -1)]) {
      await committed(['alike'], { name: alike })
      equal(await pendingTags(), [], alike)
      equal(tagsOf(await log.pending(alike)), ['alike'])
    }
  }),

  logCase('what a request dropped is told until it was applied', async ({ log, name, committed, equal, ok }) => {
    if (log.trace === undefined) return
    const correlationId = `c-${name}`
    const mine = await committed(['a', 'b'], { correlationId })
    await committed(['c'], { correlationId: `${correlationId}x` })
    await committed(['d'])
    await committed(['e'], { correlationId, name: `${name}x` })
    const told = async () => (await log.trace!(name, correlationId)).toSorted((x, y) => (x.tag < y.tag ? -1 : 1))
    equal(
      (await told()).map(({ scope, tag }) => [scope, tag]),
      [
        ['acme', 'a'],
        ['acme', 'b'],
      ],
    )
    for (const { at } of await told()) ok(at > 1e12, `ms of the wall clock: ${at}`)
    await log.done([mine[0]!.id])
    equal(
      (await told()).map(({ tag }) => tag),
      ['b'],
    )
  }),

  logCase('what was applied is deleted by its id, and nothing else', async (stage) => {
    const { log, committed, pendingTags, equal } = stage
    const mine = await committed(['a', 'b', 'c'])
    await log.done([mine[0]!.id, mine[2]!.id, randomUUID()])
    equal(await pendingTags(), ['b'])
    await log.done([mine[0]!.id])
    await log.done([])
    equal(await pendingTags(), ['b'])
    await log.done([mine[1]!.id])
    equal(await pendingTags(), [])
  }),

  logCase('a backlog counts rows and the age of the oldest', async (stage) => {
    const { log, name, committed, until, equal, ok } = stage
    equal(await log.backlog(name), { rows: 0, oldestMs: 0 })
    const old = await committed(['a', 'b'])
    await until('nothing gets older', async () => (await log.backlog(name)).oldestMs >= 200)
    const young = await committed(['c'])
    const all = await log.backlog(name)
    equal(all.rows, 3)
    ok(all.oldestMs >= 200, `${all.oldestMs} ms`)
    ok(all.oldestMs < LONG_MS, `${all.oldestMs} ms`)
    await log.done(old.map(({ id }) => id))
    const one = await log.backlog(name)
    ok(one.oldestMs < all.oldestMs + 200 && one.rows === 1, `the young one alone: ${JSON.stringify(one)}`)
    await log.done(young.map(({ id }) => id))
    equal(await log.backlog(name), { rows: 0, oldestMs: 0 })
  }),

  logCase('it says when a relay looks, and from which age', async ({ log, ok }) => {
    for (const ms of [log.pollMs, log.relayAfterMs]) ok(Number.isFinite(ms) && ms >= 0, `${ms} ms`)
  }),
]

const claimCases: readonly Case<DropLogUnderTest>[] = [
  logCase('a claim applies, then deletes', async (stage) => {
    const { log, name, committed, pendingTags, equal } = stage
    const mine = await committed(['a', 'b'])
    const held = await holding(log, name)
    equal(plain(held.rows), plain(mine))
    if (stage.has.includes('parallel')) equal(await pendingTags(), ['a', 'b'], 'while it is applied')
    equal(await held.end(), 2)
    equal(await pendingTags(), [])
  }),

  logCase('what could not be applied stays, and the claim rejects with that', async (stage) => {
    const { log, name, committed, claimTags, pendingTags, until, equal } = stage
    await committed(['a', 'b'])
    const down = new Error('the store is down')
    const held = await holding(log, name)
    equal(await held.end(down).catch((error: unknown) => error), down)
    equal(await pendingTags(), ['a', 'b'])
    // What was held may be free a moment later: the rejection need not wait for ROLLBACK.
    let thrown: unknown
    await until('the rows stay locked', async () => {
      const throwing = log.claim(name, { olderThanMs: 0, limit: 500 }, () => {
        throw down
      })
      thrown = await throwing.catch((error: unknown) => error)
      return thrown !== 0
    })
    equal(thrown, down, 'thrown at once')
    await until('the next one finds nothing', async () => {
      const tags = await claimTags()
      if (tags.length > 0) equal(tags, ['a', 'b'])
      return tags.length > 0
    })
    equal(await claimTags(), [])
  }),

  logCase('a claim of nothing applies nothing', async ({ log, name, equal }) => {
    let applied = 0
    equal(await log.claim(name, { olderThanMs: 0, limit: 10 }, async () => void applied++), 0)
    equal(applied, 0)
  }),

  logCase('young rows are left to their author', async (stage) => {
    const { committed, claimTags, until, equal } = stage
    await committed(['a'])
    equal(await claimTags({ olderThanMs: LONG_MS }), [])
    await until('a row never gets old', async () => {
      const tags = await claimTags({ olderThanMs: 500 })
      if (tags.length > 0) equal(tags, ['a'])
      return tags.length > 0
    })
    await committed(['old'])
    await stage.elapse(400)
    const [old, both] = [await claimTags({ olderThanMs: 300 }), await stage.pendingTags()]
    equal([old, both], [['old'], []])
  }),

  logCase('a claim takes no more than its limit, and those that are left later', async (stage) => {
    const { committed, claimTags, equal } = stage
    await committed(['a', 'b', 'c', 'd', 'e'])
    const [first, second, third] = [
      await claimTags({ limit: 2 }),
      await claimTags({ limit: 2 }),
      await claimTags({ limit: 2 }),
    ]
    equal([first.length, second.length, third.length], [2, 2, 1])
    equal([...first, ...second, ...third].toSorted(), ['a', 'b', 'c', 'd', 'e'])
  }),

  logCase(
    'what a relay applies now is still pending, for its operation too, and is skipped by other relays',
    async (stage) => {
      const { log, name, committed, claimTags, pendingTags, equal } = stage
      const mine = await committed(['a', 'b'])
      const held = await holding(log, name)
      await committed(['c'])
      equal(await pendingTags(), ['a', 'b', 'c'])
      equal(await pendingTags({ operation: mine[0]!.operation }), ['a', 'b'])
      equal((await log.backlog(name)).rows, 3)
      equal(await claimTags(), ['c'], 'another relay')
      equal(await claimTags(), [])
      await held.end()
      equal(await pendingTags(), [])
    },
    'parallel',
  ),

  logCase(
    'relays that turn at once apply each row once',
    async (stage) => {
      const { log, name, committed, together, pendingTags, equal } = stage
      await committed(Array.from({ length: 50 }, (_, i) => `t${i}`))
      const applied: DropRow[] = []
      const gate = Promise.withResolvers<void>()
      let inside = 0
      const said = await together(3, () =>
        log.claim(name, { olderThanMs: 0, limit: 20 }, async (rows) => {
          applied.push(...rows)
          if (++inside === 3) gate.resolve()
          await gate.promise
        }),
      )
      equal(
        said.reduce((sum, each) => sum + each, 0),
        50,
      )
      equal(new Set(applied.map(({ id }) => id)).size, 50)
      equal(applied.length, 50)
      equal(await pendingTags(), [])
    },
    'parallel',
  ),

  logCase(
    'rows that were deleted while a claim holds others are gone',
    async (stage) => {
      const { log, name, committed, pendingTags, equal } = stage
      const mine = await committed(['a'])
      const held = await holding(log, name)
      const young = await committed(['b'])
      await log.done([young[0]!.id])
      equal(await pendingTags(), ['a'])
      equal(await held.end(), 1)
      await log.done([mine[0]!.id])
      equal(await pendingTags(), [])
    },
    'parallel',
  ),

  logCase(
    'rows of a transaction that is open are nobody’s',
    async (stage) => {
      const { log, db, name, rows, claimTags, committed, equal } = stage
      const { text, values } = log.statement(rows(['open']))
      await db.transaction(async (tx) => {
        await tx.query(text, values)
        await committed(['other'])
        equal(await claimTags(), ['other'])
        equal((await log.backlog(name)).rows, 0)
      })
      equal(await claimTags(), ['open'], 'no cursor has passed it')
    },
    'parallel',
  ),
]

/**
 * All that a {@link DropLog} promises. What a subject `has`: 'parallel' when its database runs transactions side by
 * side; an embedded one with a single connection does not.
 */
export const dropLogSuite: Suite<DropLogUnderTest> = {
  name: 'drop log',
  of: 'log',
  cases: [...visibleCases, ...claimCases],
}
