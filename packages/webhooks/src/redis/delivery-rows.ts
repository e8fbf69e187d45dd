import type { RedisReply } from '@keelson/kernel/redis'
import type { DeliveryQuery, DeliveryRow, DeliveryRows } from '../store.ts'
import {
  attemptsScript,
  cancelScript,
  getDeliveryScript,
  listDeliveriesScript,
  listOfEventScript,
  retryScript,
} from './deliveries.lua.ts'
import { redriveScript, redriveStatusScript, startRedriveScript } from './redrive.lua.ts'
import { attemptOf, deliveryOf } from './rows.ts'
import type { Shards } from './shards.ts'

/** Rows that a page may read in vain; then it is empty, and the next one goes on. */
const MOST_READ = 10_000

export function deliveryRows(shards: Shards, mostRows: number): DeliveryRows {
  return {
    async get(scope, id) {
      const reply = await shards.run(shards.of(scope), getDeliveryScript, [scope, id])
      return reply === null ? null : deliveryOf(reply)
    },

    async list(query, { after = '', limit }) {
      const rows: DeliveryRow[] = []
      let next = after
      for (let read = 0; read < MOST_READ || rows.length > 0; read += mostRows) {
        const args = [next, mostRows, limit + 1 - rows.length, indexOf(query), ...queryArgs(query)]
        const script = query.event === undefined ? listDeliveriesScript : listOfEventScript
        const [last, ...some] = (await shards.run(shards.of(query.scope), script, args)) as RedisReply[]
        rows.push(...some.map(deliveryOf))
        if (rows.length > limit) return { rows: rows.slice(0, limit), next: rows[limit - 1]!.id }
        next = String(last)
        if (next === '') return { rows, next: null }
      }
      return { rows, next }
    },

    async attempts(scope, id, { after = 0, limit }) {
      const reply = await shards.run(shards.of(scope), attemptsScript, [scope, id, after, limit])
      return reply === null ? null : (reply as RedisReply[]).map(attemptOf)
    },

    async retry(scope, id) {
      const reply = await shards.run(shards.of(scope), retryScript, [scope, id])
      return reply === null ? null : deliveryOf(reply)
    },

    async cancel({ scope, id = '', endpoint = '' }, limit) {
      let cancelled = 0
      for (;;) {
        const most = Math.min(limit - cancelled, mostRows)
        if (most <= 0) return cancelled
        const rows = Number(await shards.run(shards.of(scope), cancelScript, [most, scope, id, endpoint]))
        cancelled += rows
        if (rows < most) return cancelled
      }
    },

    async startRedrive({ id, scope, endpoint = '', fromMs = '', toMs = '', status, perSecond }) {
      const args = [id, scope, endpoint, fromMs, toMs, status, perSecond]
      await shards.run(shards.of(scope), startRedriveScript, args)
    },

    async redriveStatus(scope, id) {
      const reply = await shards.run(shards.of(scope), redriveStatusScript, [scope, id])
      if (reply === null) return null
      const [done, moved] = reply as [number, number]
      return { state: done === 1 ? 'done' : 'running', moved }
    },

    async redriveStep(limit) {
      let moved = 0
      await shards.each(async (shard) => {
        for (;;) {
          const [some, more] = (await shards.run(shard, redriveScript, [limit - moved])) as [number, number]
          moved += some
          if (moved >= limit) return false
          if (more === 0) return true
        }
      })
      return moved
    },
  }
}

/** The shortest list that holds them all. */
function indexOf({ scope, endpoint, status }: DeliveryQuery): string {
  if (status === 'dead' || status === 'cancelled') return `:dx:${scope}`
  return endpoint === undefined ? `:ds:${scope}` : `:de:${scope}\0${endpoint}`
}

function queryArgs({ scope, endpoint, event, type, status, fromMs, toMs }: DeliveryQuery): (string | number)[] {
  return [scope, endpoint ?? '', event ?? '', type ?? '', status ?? '', fromMs ?? '', toMs ?? '']
}
