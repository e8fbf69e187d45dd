import { setTimeout as sleep } from 'node:timers/promises'
import { randomUUID } from 'node:crypto'
import { silentLogger, systemClock, uuidv7 } from '@keelson/kernel'
import type { Case, Tools } from '@keelson/kernel/conformance'
import { virtualClock } from '@keelson/kernel/testing'
import type { EntryInput } from '../audit.ts'
import { createEntryMaker } from '../entry/make-entry.ts'
import { withoutSeal } from '../entry/seal-member.ts'
import { memoryStore } from '../memory.ts'
import { createAuditMetrics } from '../metrics.ts'
import { fold } from '../sealer.ts'
import { createShipper, type Shipper } from '../shipping/shipper.ts'
import type { Batch, BatchEntry, Outcome, Sink } from '../sink.ts'
import type { DeliveryFailure } from '../sinks/delivery-failure.ts'
import type { DeadRow } from '../store.ts'
import { leafHash } from '../tree/hashing.ts'
import type { ArrivedEntry, SinkFault, SinkUnderTest } from './sink-under-test.ts'

const PATIENCE_MS = 20_000
const LOOK_EVERY_MS = 5
/** Longer than any wait between two tries. */
const LONGEST_WAIT_MS = 300_000
const TURNS = 2_000
const ENTRY: EntryInput = { scope: 'acme', action: 'user.update', actor: { type: 'user', id: 'u_1' } }
const make = createEntryMaker({})

/** What an answer comes to for each entry, as the shipper reads it; 'halve': all again, in smaller batches. */
interface Told {
  readonly each: readonly ('ok' | 'duplicate' | 'retry' | 'reject' | 'halt' | 'halve')[]
  /** Ms that the receiver asked for. */
  readonly after?: number
  /** All that was said of it. */
  readonly reasons: string
}

/** An entry that arrived, taken apart. */
interface Opened {
  readonly id: string
  readonly index: number
  readonly log: string
  readonly leaf: string
  /** What was hashed. */
  readonly bytes: Buffer
}

/** A log in memory that is shipped to the sink. */
interface Shipping {
  /** Seals these entries. */
  seal(...entries: readonly Partial<EntryInput>[]): Promise<string[]>
  /** Ships until all that is sealed is dealt with, or the sink halts; time passes by itself. */
  run(): Promise<void>
  readonly shipper: Shipper
  /** This node is killed between an answer and the cursor, and another one goes on with that sink. */
  takeOver(sink: Sink): Promise<void>
  /** All dead letters are asked for again, and delivered. */
  again(): Promise<void>
  cursor(): Promise<number>
  dead(): Promise<readonly DeadRow[]>
}

/** What a case of a sink works with. */
export interface SinkStage extends Tools {
  /** Of this case alone. */
  readonly log: string
  readonly subject: SinkUnderTest
  /** That is open, as before its first batch. */
  open(sink?: Sink, state?: string | null): Promise<Sink>
  fail(...faults: readonly SinkFault[]): void
  /** Cuts every connection. */
  cut(): void
  /** So many entries as they were sealed, from this index on. */
  entries(count: number, from?: number, entry?: Partial<EntryInput>): BatchEntry[]
  /** An entry whose bytes are these, whatever they are. */
  entryOf(document: string, index: number): BatchEntry
  /** Delivers, and reads the answer as the shipper does. */
  tell(sink: Sink, entries: readonly BatchEntry[], signal?: AbortSignal): Promise<Told>
  /** Where nothing is acknowledged, when all that was sent is there, unless something was cut. */
  arrived(): Promise<readonly Opened[]>
  /** Indexes that arrived, in the order of the log. */
  indexes(): Promise<number[]>
  ship(sink: Sink): Shipping
  until<R>(what: string, isSo: () => Promise<R | undefined | false> | R | undefined | false): Promise<R>
}

/** A case of a sink. */
export function onSink(
  name: string,
  needs: readonly string[],
  run: (stage: SinkStage) => Promise<void>,
): Case<SinkUnderTest> {
  return {
    name,
    ...(needs.length === 0 ? {} : { needs }),
    async run(subject, tools) {
      const opened: Sink[] = []
      try {
        await run(openStage(subject, tools, opened))
      } finally {
        for (const sink of opened) await sink.close?.()
      }
    },
  }
}

function openStage(subject: SinkUnderTest, tools: Tools, opened: Sink[]): SinkStage {
  const log = `case-${randomUUID()}`

  /** What the sink said is there: a lower bound of what arrives, as long as nothing is cut. */
  let sent = 0

  /** Counts what is said of it. */
  function counted(sink: Sink): Sink {
    return {
      ...sink,
      async deliver(batch, signal) {
        const outcomes = await sink.deliver(batch, signal)
        if (sink.settleAfterMs !== undefined) sent += outcomes.filter((one) => one === 'ok').length
        return outcomes
      },
    }
  }

  async function tell(
    sink: Sink,
    entries: readonly BatchEntry[],
    signal = new AbortController().signal,
  ): Promise<Told> {
    const batch: Batch = { log, entries }
    return counted(sink)
      .deliver(batch, signal)
      .then(
        (outcomes) => toldBy(outcomes, entries.length),
        (error: unknown) => failedBy(error, entries.length),
      )
  }

  async function arrived(): Promise<readonly Opened[]> {
    const all = await until(`${sent} entries`, async () => {
      const came = await subject.arrived()
      return came.length >= sent && came
    })
    return all.map(openDocument)
  }

  async function until<R>(
    what: string,
    isSo: () => Promise<R | undefined | false> | R | undefined | false,
  ): Promise<R> {
    for (let waitedMs = 0; waitedMs <= PATIENCE_MS; waitedMs += LOOK_EVERY_MS) {
      const so = await isSo()
      if (so !== undefined && so !== false) return so
      await sleep(LOOK_EVERY_MS)
    }
    throw new Error(`it did not come: ${what}`)
  }

  return {
    ...tools,
    log,
    subject,
    async open(sink = subject.sink(), state = null) {
      await sink.open?.(state, { clock: systemClock, logger: silentLogger })
      opened.push(sink)
      return sink
    },
    fail(...faults) {
      for (const fault of faults) subject.fail!(fault)
    },
    entries: (count, from = 0, entry = {}) => Array.from({ length: count }, (_, i) => sealedEntry(from + i, entry)),
    entryOf(document, index) {
      const bytes = Buffer.from(document)
      const { event } = JSON.parse(document) as { event: { id: string } }
      return { ...sealedEntry(index, {}), id: event.id, bytes, leaf: leafHash(bytes) }
    },
    cut() {
      sent = -Infinity
      subject.cut!()
    },
    tell,
    arrived,
    indexes: async () => (await arrived()).map(({ index }) => index).toSorted((a, b) => a - b),
    ship: (sink) => startShipping(log, counted(sink), tools.random, opened),
    until,
  }
}

function sealedEntry(index: number, entry: Partial<EntryInput>): BatchEntry {
  const given = { ...ENTRY, id: uuidv7(), ...entry }
  const { bytes, id } = make(given, { nowMs: Date.now() }).row
  const { scope, action } = given
  return { index, id, scope, action, atMs: Date.now(), bytes, leaf: leafHash(bytes) }
}

function toldBy(outcomes: readonly Outcome[], entries: number): Told {
  const given = (one: Outcome | undefined): Outcome => one ?? { retry: 'nothing was said' }
  // Too few or too many answers tell nothing of anybody.
  const all = Array.from({ length: entries }, (_, i) => given(outcomes.length === entries ? outcomes[i] : undefined))
  const each = all.map((one) => (typeof one === 'string' ? one : (Object.keys(one)[0] as 'retry' | 'reject' | 'halt')))
  const reasons = all.flatMap((one) => (typeof one === 'string' ? [] : Object.values(one).map(String))).join('\n')
  const after = all.find((one) => typeof one === 'object' && 'after' in one) as { after?: number } | undefined
  return { each, reasons, ...(after?.after === undefined ? {} : { after: after.after }) }
}

function failedBy(error: unknown, entries: number): Told {
  const { status, halt, retryAfter, message = String(error) } = error as Partial<DeliveryFailure>
  const each = Array.from({ length: entries }, () =>
    halt === true ? ('halt' as const) : status === 413 ? ('halve' as const) : ('retry' as const),
  )
  return { each, reasons: message, ...(retryAfter === undefined ? {} : { after: retryAfter }) }
}

function openDocument({ document, seal }: ArrivedEntry): Opened {
  const bytes = Buffer.from(seal === undefined ? withoutSeal(document) : document)
  const { event } = JSON.parse(bytes.toString()) as { event: { id: string } }
  const told = seal ?? (JSON.parse(Buffer.from(document).toString()) as { seal: NonNullable<typeof seal> }).seal
  return { id: event.id, bytes, log: told.log, index: told.index, leaf: told.leaf }
}

function startShipping(log: string, first: Sink, random: () => number, opened: Sink[]): Shipping {
  const clock = virtualClock({ now: Date.now() })
  const store = memoryStore({ clock })
  let size = 0
  let nodes = 0
  let isDying = false

  function shipperOf(sink: Sink): Shipper {
    opened.push(sink)
    const none = { sealLagSeconds: () => 0, sealedSize: () => 0, spooled: () => 0, storeBytes: () => 0, sinks: [] }
    return createShipper({
      log,
      sink: { ...sink, flushMs: 0 },
      store: {
        ...store,
        async advance(...given) {
          if (isDying) throw new Error('killed')
          return store.advance(...given)
        },
      },
      work: async (fn) => fn(),
      leafHash,
      owner: `node ${nodes++}`,
      random,
      metrics: createAuditMetrics(none),
      clock,
      logger: silentLogger,
    })
  }

  const { name } = first
  let shipper = shipperOf(first)
  const cursor = async (): Promise<number> => (await store.inspect(log)).cursors[name] ?? 0

  return {
    get shipper() {
      return shipper
    },
    async seal(...entries) {
      const rows = entries.map((entry) => make({ ...ENTRY, id: uuidv7(), ...entry }, { nowMs: Date.now() }).row)
      await store.append(log, rows)
      await store.seal(log, rows.length, fold)
      size += rows.length
      return rows.map(({ id }) => id)
    },
    async run() {
      for (let turns = 0; turns < TURNS; turns++) {
        const waitMs = await shipper.turn()
        if ((await cursor()) === size || shipper.status().state === 'halted') return
        if (waitMs > 0) await clock.advance(Math.min(waitMs, LONGEST_WAIT_MS))
      }
      throw new Error(`after ${TURNS} turns the cursor stands at ${await cursor()} of ${size}`)
    },
    async takeOver(sink) {
      isDying = true
      for (;;) {
        const waitMs = await shipper.turn().catch(() => undefined)
        if (waitMs === undefined) break
        await clock.advance(waitMs)
      }
      isDying = false
      shipper = shipperOf(sink)
    },
    async again() {
      await store.deadLetters.unbury(log, {})
      for (let turns = 0; turns < TURNS && (await store.deadLetters.list(log, { limit: 1 })).length > 0; turns++) {
        const waitMs = await shipper.turn()
        await clock.advance(Math.min(waitMs, LONGEST_WAIT_MS))
      }
    },
    cursor,
    dead: async () => store.deadLetters.list(log, { limit: 1_000 }),
  }
}
