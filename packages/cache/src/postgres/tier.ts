import type { Statement } from '@keelson/kernel'
import { type Ask, prepared } from '@keelson/kernel/postgres'
import type { Bump, CacheTier, Coherence, Entry, Hit, Miss, Stored } from '../store.ts'
import { keyTag } from '../tag.ts'
import { bumpSql } from './bump.sql.ts'
import { fillSql, putSql } from './fill.sql.ts'
import { stampOf } from './lease.ts'
import { extendSql, unlockSql } from './lock.sql.ts'
import { joinByPolling } from './member.ts'
import { purgeScopeSql, purgeSql } from './purge.sql.ts'
import { claimSql, readSql, type ReadRow } from './read.sql.ts'
import { createStateSql, epochSql } from './state.sql.ts'
import { fromList, toList, toText } from './text.ts'
import { createUpkeep } from './upkeep.ts'

/** Entries that one statement of `purge` looks at. */
const PURGE_BATCH = 1_000
/** A ping that is not answered leaves its connection soon. */
const PING_MS = 1_000

/** One name in Postgres. */
export function createTier(
  name: string,
  o: { ask: Ask; schema: string; coherence: Coherence; maxTtlMs: number; maxLoadMs: number },
): CacheTier {
  const { ask, schema, coherence, maxLoadMs } = o
  const upkeep = createUpkeep(name, o)
  const sql = {
    read: readSql(schema),
    claim: claimSql(schema),
    fill: fillSql(schema),
    put: putSql(schema),
    bump: bumpSql(schema),
    unlock: unlockSql(schema),
    extend: extendSql(schema),
    purge: purgeSql(schema),
    purgeScope: purgeScopeSql(schema),
    epoch: epochSql(schema),
    createState: createStateSql(schema),
  }

  /** The answer on a state that exists: it is created on first use, and after a crash of the server. */
  async function askState<Row>(
    statement: Statement,
    answered: (rows: readonly Row[]) => boolean,
  ): Promise<readonly Row[]> {
    for (;;) {
      const rows = await ask<Row>(statement)
      if (answered(rows)) return rows
      await ask(prepared(sql.createState, [name]))
    }
  }

  const tier: CacheTier = {
    coherence,

    async read(refs, { lockMs, node, body, refresh = false }) {
      if (refs.length === 0) return []
      const scopes = toList(refs.map(({ scope }) => scope))
      const keys = toList(refs.map(({ key }) => key))
      const values = [name, scopes, keys, body, refresh]
      // Tabs and line ends of the tags are escaped, so one list can hold lists.
      const declared = (): string => refs.map((ref) => toList(ref.declared, '\t')).join('\n')
      const statement =
        lockMs === 0 ? prepared(sql.read, values) : prepared(sql.claim, [...values, declared(), node, lockMs])
      const rows = await askState<ReadRow>(statement, ({ length }) => length > 0)
      return rows.map((row) => readAnswer(row, lockMs > 0))
    },

    async fill({ scope, key }, lease, entry, node) {
      const values = [name, toText(scope), toText(key), lease, node, ...entryValues(entry), maxLoadMs]
      const [row] = await ask<{ stored: boolean }>(prepared(sql.fill, values))
      upkeep.due()
      return { stored: row!.stored, stamp: stampOf(lease) }
    },

    async put({ scope, key }, entry) {
      const values = [name, toText(scope), toText(key), toText(keyTag(key)), ...entryValues(entry)]
      const statement = prepared(sql.put, values)
      const [row] = await askState<{ stamp: string; has_state: boolean }>(statement, ([found]) => found!.has_state)
      upkeep.due()
      return bumped(row!.stamp)
    },

    async bump(list) {
      const drops = list.flatMap(({ scope, tags, soft = false }) =>
        scope === undefined ? [] : tags.map((tag) => ({ scope, tag, soft: String(soft) })),
      )
      const columns = (['scope', 'tag', 'soft'] as const).map((column) => toList(drops.map((drop) => drop[column])))
      const isNewEpoch = list.some(({ epoch }) => epoch === true)
      const [row] = await ask<{ stamp: string }>(prepared(sql.bump, [name, ...columns, isNewEpoch]))
      upkeep.due()
      return bumped(row!.stamp)
    },

    async unlock({ scope, key }, lease, node) {
      await ask(prepared(sql.unlock, [name, toText(scope), toText(key), lease, node]))
    },

    async extend(held, node, lockMs) {
      if (held.length === 0) return
      const scopes = toList(held.map(({ ref }) => ref.scope))
      const keys = toList(held.map(({ ref }) => ref.key))
      const leases = toList(held.map(({ lease }) => lease))
      await ask(prepared(sql.extend, [name, scopes, keys, leases, node, lockMs]))
    },

    async purge(scope) {
      const purged = await (scope === undefined ? purgeInvalid() : purgeScope(scope))
      await upkeep.run()
      return purged
    },

    ping: () => ask({ text: 'select 1' }, PING_MS),

    async epoch() {
      const [row] = await ask<{ epoch: string }>(prepared(sql.epoch, [name]))
      return row?.epoch
    },

    close: () => upkeep.settled(),
  }
  if (coherence === 'validated') tier.join = (_, { on }) => joinByPolling(name, { askState, schema, on })
  return tier

  async function purgeInvalid(): Promise<number> {
    let purged = 0
    for (let from = ['', '']; ;) {
      const values = [name, ...from, PURGE_BATCH]
      const [last] = await ask<{ scope: string; key: string; count: number }>({ text: sql.purge, values })
      if (last === undefined) return purged
      purged += last.count
      from = [last.scope, last.key]
    }
  }

  async function purgeScope(scope: string): Promise<number> {
    for (let purged = 0; ;) {
      const values = [name, toText(scope), PURGE_BATCH]
      const [row] = await ask<{ count: number }>({ text: sql.purgeScope, values })
      purged += row!.count
      if (row!.count === 0) return purged
    }
  }
}

/** Nobody has to ack: what is committed is seen by every read that begins later. */
function bumped(stamp: string): Bump {
  return { stamp, peers: [], unknownMs: 0 }
}

function entryValues(entry: Entry): unknown[] {
  const { fill, codec, tags, body, ttlMs, graceMs, loadMs } = entry
  return [fill, codec, toList(tags), body, ttlMs, graceMs, loadMs]
}

function readAnswer(row: ReadRow, isLocking: boolean): Hit | Miss {
  const { stamp, lease } = row
  const stored: Stored | undefined =
    stamp === null
      ? undefined
      : {
          ...(row.body === null ? {} : { body: row.body }),
          codec: row.codec,
          tags: fromList(row.tags),
          stamp,
          fill: row.fill,
          loadMs: row.load_ms,
          ageMs: row.age_ms,
          ttlMs: row.ttl_ms,
        }
  if (row.is_hit) return { kind: 'hit', ...stored! }
  const lock = !isLocking ? 'none' : row.locked ? 'yours' : 'held'
  return { kind: 'miss', lease: lease!, lock, ...(stored === undefined ? {} : { stale: stored }) }
}
