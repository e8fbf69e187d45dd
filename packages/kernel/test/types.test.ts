/** Wrong use does not compile: `tsc -b` fails for each `@ts-expect-error` without an error behind it. */
import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import { expectTypeOf, test } from 'vitest'
import {
  checkOptions,
  context,
  createMetrics,
  kernelMetrics,
  ms,
  opt,
  reply,
  traced,
  type Component,
  type Counter,
  type Database,
  type Duration,
  type Effect,
  type KeelsonContext,
  type KernelErrorCode,
  type MetricFamily,
  type QueryResult,
  type Reply,
  type Status,
  type Tx,
} from '../src/index.ts'
import { transact, unit, type DatabaseLike } from '../src/postgres/index.ts'
import { collect, text, type PromRegisterLike } from '../src/prometheus/index.ts'

declare const db: DatabaseLike
declare const effect: Effect

/** Compiled, never run. */
const compiled = (use: () => unknown): void => void use

test('a Duration is a number or text with a unit', () => {
  const good: Duration[] = [250, '250ms', '5s', '1.5m', '24h', '7d']
  // @ts-expect-error no such unit
  const week: Duration = '1w'
  // @ts-expect-error no unit
  const bare: Duration = '5'
  // @ts-expect-error a Date is none
  compiled(() => ms(new Date()))
  expectTypeOf(ms).returns.toBeNumber()
  expectTypeOf([good, week, bare]).toBeArray()
})

test('every database that is promised fits, and no client does', () => {
  expectTypeOf<pg.Pool>().toExtend<DatabaseLike>()
  expectTypeOf<PGlite>().toExtend<DatabaseLike>()
  expectTypeOf<Database>().toExtend<DatabaseLike>()
  expectTypeOf<pg.Client>().not.toExtend<DatabaseLike>()
  expectTypeOf<pg.PoolClient>().not.toExtend<DatabaseLike>()
  expectTypeOf<pg.PoolClient>().toExtend<Tx>()
  expectTypeOf<undefined>().not.toExtend<DatabaseLike>()
  expectTypeOf<string>().not.toExtend<DatabaseLike>()
})

test('transact answers the value of its work', () => {
  compiled(() => {
    expectTypeOf(transact(db, async () => ({ value: { id: 1 } }))).toEqualTypeOf<Promise<{ id: number }>>()
    expectTypeOf(transact(db, async () => ({ value: 'x', effects: [effect] }))).toEqualTypeOf<Promise<string>>()
    // @ts-expect-error nothing returned
    void transact(db, async (tx) => void (await tx.query('select 1')))
    // @ts-expect-error the value itself
    void transact(db, async () => 5)
    // @ts-expect-error no value
    void transact(db, async () => ({ effects: [] }))
    // @ts-expect-error one effect, not an array
    void transact(db, async () => ({ value: 1, effects: effect }))
    // @ts-expect-error an effect without a kind
    void transact(db, async () => ({ value: 1, effects: [{ statements: () => [] }] }))
    // @ts-expect-error statements are objects
    void transact(db, async () => ({ value: 1, effects: [{ kind: 'x', statements: () => ['select 1'] }] }))
    // @ts-expect-error statements are known at once
    void transact(db, async () => ({ value: 1, effects: [{ kind: 'x', statements: async () => [] }] }))
    // @ts-expect-error not a promise
    void transact(db, () => ({ value: 1 }))
    // @ts-expect-error an unknown option
    void transact(db, async () => ({ value: 1 }), { retry: 1 })
    // @ts-expect-error an unknown isolation
    void transact(db, async () => ({ value: 1 }), { isolation: 'snapshot' })
    // @ts-expect-error no Duration
    void transact(db, async () => ({ value: 1 }), { stall: '5 sec' })
  })
})

test('unit answers the value of its end', () => {
  compiled(() => {
    const statements = [{ text: 'select 1' }]
    expectTypeOf(unit(db, { open: [], work: async () => ({ end: 'commit', statements, value: 1 }) })).toEqualTypeOf<
      Promise<number>
    >()
    expectTypeOf(unit(db, { open: [], work: async () => ({ end: 'rollback', value: 'x' }) })).toEqualTypeOf<
      Promise<string>
    >()
    void unit(db, {
      open: [],
      work: async (tx, opened) => {
        expectTypeOf(tx).toEqualTypeOf<Tx>()
        expectTypeOf(opened).toEqualTypeOf<readonly QueryResult[]>()
        return { end: 'rollback', value: 1 }
      },
    })
    // @ts-expect-error no work
    void unit(db, { open: [] })
    // @ts-expect-error no open
    void unit(db, { work: async () => ({ end: 'rollback', value: 1 }) })
    // @ts-expect-error a commit has statements
    void unit(db, { open: [], work: async () => ({ end: 'commit', value: 1 }) })
    // @ts-expect-error there is no other end
    void unit(db, { open: [], work: async () => ({ end: 'abort', value: 1 }) })
    // @ts-expect-error an open statement is an object
    void unit(db, { open: ['select 1'], work: async () => ({ end: 'rollback', value: 1 }) })
  })
})

test('reply keeps the type of its body', () => {
  compiled(() => {
    expectTypeOf(reply(201, { id: 1 })).toEqualTypeOf<Reply<{ id: number }>>()
    reply(200, {}, [effect], [['ETag', '"1"']])
    // @ts-expect-error a status is a number
    reply('200')
    // @ts-expect-error effects are an array
    reply(200, {}, effect)
    // @ts-expect-error headers are pairs
    reply(200, {}, [], { ETag: '"1"' })
    // @ts-expect-error a header's value is text
    reply(200, {}, [], [['Content-Length', 5]])
    // @ts-expect-error a reply is not changed
    reply(200).response = { status: 201, headers: [], body: new Uint8Array() }
  })
})

test('checked options have the types of their specification', () => {
  const options = checkOptions(
    'x',
    {},
    {
      lease: opt.duration('1s'),
      timeout: opt.duration(),
      mode: opt.oneOf(['a', 'b'], 'a'),
      limits: opt.group({ max: opt.integer(1) }),
    },
  )
  expectTypeOf(options).toEqualTypeOf<{
    readonly lease: number
    readonly timeout: number | undefined
    readonly mode: 'a' | 'b'
    readonly limits: { readonly max: number }
  }>()
})

test('codes are a closed set', () => {
  expectTypeOf<'COMMIT_UNKNOWN'>().toExtend<KernelErrorCode>()
  expectTypeOf<'COMMIT_LOST'>().not.toExtend<KernelErrorCode>()
})

test('a metric is never touched without its declared labels', () => {
  const { counter, gauge, histogram } = createMetrics('x')
  compiled(() => {
    const reads = counter('reads', 'Reads.', ['cache', 'outcome'])
    expectTypeOf(reads).toEqualTypeOf<Counter<'cache' | 'outcome'>>()
    reads.inc({ cache: 'users', outcome: 'hit' })
    reads.inc({ cache: 'users', outcome: 'hit' }, 2)
    // @ts-expect-error labels are missing
    reads.inc()
    // @ts-expect-error one label is missing
    reads.inc({ cache: 'users' })
    // @ts-expect-error an unknown label
    reads.inc({ cache: 'users', outcome: 'hit', key: 'k' })
    // @ts-expect-error a label is text
    reads.inc({ cache: 'users', outcome: 404 })

    const evictions = counter('evictions', 'Evictions.')
    evictions.inc()
    evictions.inc({}, 2)
    // @ts-expect-error no label was declared
    evictions.inc({ cache: 'users' })
    // @ts-expect-error labels come first
    evictions.inc(2)

    const lag = gauge('lag', 'Lag.', ['log'])
    lag.set(1, { log: 'a' })
    lag.read(() => 1, { log: 'a' })
    // @ts-expect-error labels are missing
    lag.set(1)
    // @ts-expect-error a gauge is a number
    lag.read(() => 'much', { log: 'a' })
    // @ts-expect-error a reading is known at once
    lag.read(async () => 1, { log: 'a' })

    const took = histogram('took', 'Time.', { unit: 'seconds' })
    took.observe(1)
    // @ts-expect-error no label was declared
    took.observe(1, { end: 'commit' })
    histogram('took', 'Time.', { unit: 'seconds', labels: ['end'] }).observe(1, { end: 'commit' })
    // @ts-expect-error Prometheus counts seconds
    histogram('took', 'Time.', { unit: 'ms' })
    // @ts-expect-error a histogram has a unit
    histogram('took', 'Time.')
  })
})

test('traced answers what its operation answers', () => {
  const about = () => ({ store: 'redis' })
  const read = async () => 5
  compiled(() => {
    expectTypeOf(traced('cache:read', about, read)).toEqualTypeOf<Promise<number>>()
    // @ts-expect-error package and operation
    void traced('read', about, read)
    // @ts-expect-error an operation takes time
    void traced('cache:read', about, () => 5)
    // @ts-expect-error details are an object
    void traced('cache:read', () => 'redis', read)
  })
})

test('a component may say more than the contract, and is a source of metrics', () => {
  interface Cache extends Component {
    inspect(): Promise<Status & { readonly entries: number }>
  }
  expectTypeOf<Cache>().toExtend<Component>()
  compiled(() => {
    const cache = {} as Cache
    expectTypeOf(text(kernelMetrics, cache)).toBeString()
    expectTypeOf(collect({} as PromRegisterLike, kernelMetrics, cache)).toEqualTypeOf<() => void>()
    expectTypeOf(cache.metrics()).toEqualTypeOf<MetricFamily[]>()
    // @ts-expect-error a component, not its metrics
    text(cache.metrics())
  })
})

test('what is carried is text', () => {
  expectTypeOf(context.carry).returns.toEqualTypeOf<Record<string, string>>()
  compiled(() => {
    expectTypeOf(context.resume({ tenant: 'm1' }, context.get)).toEqualTypeOf<KeelsonContext | undefined>()
    // @ts-expect-error a principal is carried as JSON
    context.resume({ principal: { id: 'u1' } }, () => {})
  })
})
