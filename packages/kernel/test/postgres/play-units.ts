import fc from 'fast-check'
import { expect, vi } from 'vitest'
import { isKeelsonError, type Effect, type Tx } from '../../src/index.ts'
import { transact, unit, type DatabaseLike } from '../../src/postgres/index.ts'
import { predict, RETRIES, works, type EffectKind, type Work } from './unit-work.ts'

const LONG = process.env['LONG'] === '1'
/** A failure is told before the runner's own limit, with what it has shrunk to by then. */
const PARAMETERS = LONG ? { numRuns: 1_000 } : { numRuns: 100, interruptAfterTimeLimit: 40_000 }
if (LONG) vi.setConfig({ testTimeout: 900_000 })

/** What a database lets the model see and do; `items` and `effects` are the tables of world.ts. */
export interface Stage {
  /** The database for one work, that breaks as the work says where it can. */
  databaseOf(work: Work): DatabaseLike
  /** Before a round. True when faults may hit it: then only what must hold in any case is expected. */
  breaks(round: readonly Work[]): boolean
  /** In the midst of a work. */
  pause?(): void
  committed(): Promise<{ items: string[]; effects: string[] }>
  /** After each round: everything has come back. */
  settled(): Promise<void>
}

let rounds = 0

/** Runs random works side by side: each is there as a whole, or not at all, and its caller knows which. */
export async function unitsAreWhole(stage: Stage): Promise<void> {
  await fc.assert(
    fc.asyncProperty(works, (round) => play(stage, round)),
    PARAMETERS,
  )
}

async function play(stage: Stage, round: readonly Work[]): Promise<void> {
  const id = `r${rounds++}`
  const breaks = stage.breaks(round)
  const ends = await Promise.all(round.map((work, i) => perform(stage, work, `${id}w${i}`)))
  await stage.settled()
  const { items, effects } = await stage.committed()
  for (const [i, { work, outcome, whole, hooks, leaked }] of ends.entries()) {
    const mine = (row: string): boolean => row.startsWith(`${id}w${i}:`)
    const found = [...items, ...effects].filter(mine).toSorted()
    const why = `${id}w${i} ${JSON.stringify({ work, outcome: String('error' in outcome ? outcome.error : 'value') })}`
    const unknown = 'error' in outcome && isKeelsonError(outcome.error, 'COMMIT_UNKNOWN')

    const committed = found.length > 0 || whole.length === 0
    expect(found, `all or nothing: ${why}`).toEqual(found.length > 0 ? whole : [])
    const mustCommit = !('error' in outcome) && work.end === 'commit'
    if (mustCommit) expect(committed, `a success is committed: ${why}`).toBe(true)
    if (!mustCommit && !unknown) expect(found, `a failure is none: ${why}`).toEqual([])
    const wanted = mustCommit ? work.effects.filter((kind) => kind.endsWith('hook')).length : 0
    expect(hooks(), `afterCommit comes after a commit, once: ${why}`).toBe(wanted)
    for (const tx of leaked) {
      await expect(tx.query('select 1'), `it has ended: ${why}`).rejects.toMatchObject({ code: 'TX_ENDED' })
    }
    if (breaks) continue
    const told = 'error' in outcome ? 'fails' : work.end === 'commit' ? 'commits' : 'rolls back'
    const predicted = predict(work)
    if (predicted !== 'any') expect(told, why).toBe(predicted)
    if (work.end === 'throw' && 'own' in outcome) expect(outcome.error, why).toBe(outcome.own)
  }
}

const INSERT = 'insert into items(sku) values ($1)'
const FAIL = 'select 1 / 0'
const CONFLICT = `do $$ begin raise exception 'conflict' using errcode = '40001'; end $$`

/** Runs one work, and keeps all that can be said of it. */
async function perform(stage: Stage, work: Work, id: string) {
  const rows: string[] = []
  const leaked: Tx[] = []
  let attempts = 0
  let hooks = 0
  let own: Error | undefined
  const name = (kind: string, i: number): string => `${id}:${kind}${i}`

  const bodies: Promise<void>[] = []
  function run(tx: Tx): Promise<void> {
    const body = acts(tx)
    bodies.push(body)
    return body
  }
  async function acts(tx: Tx): Promise<void> {
    leaked.push(tx)
    attempts++
    rows.length = 0
    for (const [i, act] of work.acts.entries()) {
      const sku = name('item', i)
      switch (act.kind) {
        case 'insert':
          await tx.query(INSERT, [sku])
          rows.push(sku)
          break
        case 'fail':
          await tx.query(FAIL)
          break
        case 'swallow':
          await tx.query(FAIL).catch(() => {})
          break
        case 'undo':
          await tx.query('savepoint s')
          await tx.query(INSERT, [sku])
          await tx.query(FAIL).catch(() => {})
          await tx.query('rollback to savepoint s')
          break
        case 'pause':
          stage.pause?.()
          await new Promise((resolve) => setImmediate(resolve))
          break
        case 'forget':
          void tx.query(act.fails ? FAIL : INSERT, act.fails ? [] : [sku])
          if (!act.fails) rows.push(sku)
          break
        case 'conflict':
          if (attempts <= act.times) await tx.query(CONFLICT)
      }
    }
    if (work.end === 'throw') throw (own = new Error(`${id} throws`))
  }

  function effectOf(kind: EffectKind, i: number): Effect {
    const label = name('effect', i)
    const insert = (labels: readonly string[]) => ({
      text: 'insert into effects(label) select unnest($1::text[])',
      values: [labels],
    })
    switch (kind) {
      case 'combine':
        return {
          kind,
          combine: (others) => [insert([label, ...others.map(({ replayHint }) => replayHint as string)])],
          replayHint: label,
        }
      case 'perform':
        return { kind, async perform() {} }
      case 'fail':
        return { kind, statements: () => [insert([label]), { text: FAIL }] }
      case 'late':
        return {
          kind,
          statements: () => [{ text: 'insert into effects(label, item) values ($1, $1)', values: [label] }],
        }
      default:
        return {
          kind,
          statements: () => [insert([label])],
          ...(kind === 'statements'
            ? {}
            : {
                afterCommit() {
                  hooks++
                  if (kind === 'bad hook') throw new Error('a hook fails')
                },
              }),
        }
    }
  }
  const effects = work.effects.map(effectOf)
  const labels = work.effects.flatMap((kind, i) => (kind === 'perform' ? [] : [name('effect', i)]))

  const db = stage.databaseOf(work)
  const running =
    work.end === 'rollback'
      ? unit(db, {
          open: [],
          retries: RETRIES,
          async work(tx) {
            await run(tx)
            return { end: 'rollback', value: 'value' }
          },
        })
      : transact(
          db,
          async (tx) => {
            await run(tx)
            return { value: 'value', effects }
          },
          { retries: RETRIES, bestEffort: work.bestEffort },
        )
  const outcome = await running.then(
    (value) => ({ value }),
    (error: unknown) => ({ error, ...(own === undefined ? {} : { own }) }),
  )
  // A unit that has lost its connection does not wait for its work.
  await Promise.allSettled(bodies)
  return { work, outcome, whole: [...rows, ...labels].toSorted(), hooks: () => hooks, leaked }
}
