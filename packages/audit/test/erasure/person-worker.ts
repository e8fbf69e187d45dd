import { appendFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString, writeHeapSnapshot } from 'node:v8'
import pg from 'pg'
import { isKeelsonError } from '@keelson/kernel'
import { transact } from '@keelson/kernel/postgres'
import { elasticsearchSink } from '../../src/elasticsearch/index.ts'
import { fileStore } from '../../src/file/index.ts'
import { createAudit, personal, type Audit, type EntryInput } from '../../src/index.ts'
import { jsonlSink } from '../../src/jsonl/index.ts'
import { postgresStore } from '../../src/postgres/index.ts'
import { addressOf, controlOf, valueOf } from './marker.ts'

/** What the worker is asked to do. */
export type Ask =
  | { readonly do: 'record' | 'spool' | 'ship' | 'erase' | 'export' }
  | { readonly do: 'snapshot'; readonly path: string }

/** What it answers; values of persons are counted, never told. */
export type Told = {
  readonly done: string
  readonly ids?: readonly string[]
  readonly keys?: number
  readonly opened?: number
  readonly ok?: boolean
}

// The default cuts texts at 1,024 characters.
setFlagsFromString('--heap-snapshot-string-limit=100000000')

const {
  SEED = '',
  KEY = '',
  SECRET = '',
  PSEUDONYM = '',
  SIEM = '',
  FOLDER = '',
  DATABASE_URL,
  SCHEMA = '',
} = process.env
const PERSON = 'u_9'
const pool = DATABASE_URL === undefined ? undefined : new pg.Pool({ connectionString: DATABASE_URL, max: 4 })
pool?.on('error', () => {})

/** Whatever is said to somebody stands in a file. */
function say(...words: readonly unknown[]): void {
  const told = words.map((word) =>
    word instanceof Error ? `${word.stack} ${JSON.stringify(word)} ${String(word.cause)}` : JSON.stringify(word),
  )
  appendFileSync(`${FOLDER}/said.log`, `${told.join(' ')}\n`)
}

const logger = { debug: say, info: say, warn: say, error: say }
const audit: Audit = createAudit({
  store:
    pool === undefined
      ? fileStore({ dir: `${FOLDER}/journal`, appendTimeout: '60s' })
      : postgresStore(pool, { schema: SCHEMA }),
  ...(pool === undefined ? {} : { spool: fileStore({ dir: `${FOLDER}/spool`, appendTimeout: '60s' }) }),
  key: KEY,
  privacy: { secrets: [SECRET], pseudonym: PSEUDONYM },
  checkpoint: { interval: 20 },
  sinks: [elasticsearchSink({ url: SIEM, flush: 10 }), jsonlSink({ path: `${FOLDER}/audit.jsonl`, flush: 10 })],
  storeTimeout: '30s',
  logger,
})
await audit.start()

/** A value of the person in every place that takes one. */
function entryOf(first: number): EntryInput {
  const value = (n: number): ReturnType<typeof personal<string>> => personal(PERSON, valueOf(SEED, first + n))
  return {
    scope: 'acme',
    action: 'user.update',
    actor: { type: 'user', id: 'u_1', name: value(1) },
    target: { type: 'user', id: 'u_2', name: value(2) },
    reason: value(3),
    where: { ip: personal(PERSON, addressOf(SEED)), userAgent: value(5) },
    old: { name: value(6), list: [value(7)] },
    new: { name: value(8), deep: { a: personal(PERSON, { [valueOf(SEED, first + 9)]: [valueOf(SEED, first + 10)] }) } },
    data: { one: value(11), other: personal('u_other', 'of another person'), control: controlOf(SEED) },
  }
}

async function record(): Promise<string[]> {
  const ids = [(await audit.record(entryOf(0))).id]
  audit.emit(entryOf(20))
  const { action, actor, old, new: now, scope, ...more } = entryOf(40)
  ids.push((await audit.logModification(actor!, { scope, type: 'user', id: 'u_2' }, action, old, now, more)).id)
  if (pool !== undefined) {
    const effect = audit.entry(entryOf(60))
    await transact(pool, async () => ({ value: undefined, effects: [effect] }))
    ids.push(effect.id)
  }
  // What is refused says why.
  const refused: EntryInput[] = [
    { ...entryOf(80), action: 'no action' },
    { ...entryOf(100), data: { big: personal(PERSON, valueOf(SEED, 1).repeat(4_000)) } },
    { ...entryOf(120), actor: { type: 'user', id: 'u_1', name: personal(PERSON, { [valueOf(SEED, 2)]: 1 }) as never } },
  ]
  for (const one of refused) await audit.record(one).catch(say)
  for (const one of refused) audit.emit(one)
  return ids
}

async function opened(): Promise<number> {
  let count = 0
  for await (const { data, actor } of audit.exportSubject('acme', PERSON)) {
    if (data['one'] === undefined) continue
    if (typeof actor.name !== 'string') throw new Error('one is open, and the other is not')
    count++
  }
  return count
}

/** Also when the store has been away a moment ago. */
async function shipped(): Promise<void> {
  for (;;) {
    try {
      return await audit.flush({ to: 'shipped', timeout: '60s' })
    } catch (error) {
      if (!isKeelsonError(error, 'STORE_UNAVAILABLE')) throw error
      await sleep(20)
    }
  }
}

async function answer(ask: Ask): Promise<Told> {
  switch (ask.do) {
    case 'record':
      return { done: ask.do, ids: await record() }
    case 'spool': {
      const { id, spooled } = await audit.record(entryOf(200))
      return { done: ask.do, ids: [id], ok: spooled }
    }
    case 'ship':
      await shipped()
      return { done: ask.do, ok: (await audit.verify()).ok }
    case 'erase':
      return { done: ask.do, keys: (await audit.eraseSubject('acme', PERSON, { reason: 'asked by the person' })).keys }
    case 'export':
      return { done: ask.do, opened: await opened() }
    case 'snapshot':
      // Collects garbage first.
      writeHeapSnapshot(ask.path)
      return { done: ask.do }
  }
}

/** Found in a snapshot, or the snapshot is worth nothing. */
const control: unknown = Object.freeze({ control: controlOf(SEED) })

process.on('message', (ask: Ask) => {
  void answer(ask).then(
    (told) => process.send!(told),
    (error: unknown) => {
      say(error)
      process.send!({ done: `failed: ${String(error)}` })
    },
  )
})
process.on('disconnect', () => process.exit(control === undefined ? 1 : 0))
process.send!({ ready: true })
