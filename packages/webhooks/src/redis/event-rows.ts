import type { RedisReply } from '@keelson/kernel/redis'
import type { EventRows, TraceRow } from '../store.ts'
import { bySubjectScript, eraseScript, getEventScript, traceScript } from './events.lua.ts'
import { eventOf } from './rows.ts'
import type { Shards } from './shards.ts'

export function eventRows(shards: Shards): EventRows {
  return {
    async get(scope, id) {
      const reply = await shards.run(shards.of(scope), getEventScript, [scope, id])
      const [row, bytes] = reply as [Buffer | null, Buffer | null]
      return row === null ? null : eventOf(row, bytes)
    },
    async bySubject(scope, subject, { after = '', limit }) {
      const reply = await shards.run(shards.of(scope), bySubjectScript, [scope, subject, after, limit])
      return (reply as [Buffer, Buffer | null][]).map(([row, bytes]) => eventOf(row, bytes))
    },
    async erase(scope, subject, limit) {
      const done = { events: 0, cancelled: 0 }
      let after = ''
      do {
        const args = [scope, subject, after, limit - done.events]
        const [events, cancelled, last] = (await shards.run(shards.of(scope), eraseScript, args)) as [
          ...[number, number],
          Buffer,
        ]
        done.events += events
        done.cancelled += cancelled
        after = last.toString()
      } while (after !== '' && done.events < limit)
      return done
    },
    async trace(correlationId) {
      const replies = (await shards.all(traceScript, [correlationId])) as RedisReply[][]
      return replies.flat().flatMap((event) => traceOf(event as RedisReply[]))
    },
  }
}

function traceOf([at, type, id, attempts]: RedisReply[]): TraceRow[] {
  const text = `${String(type)} ${String(id)}`
  return [
    { atMs: Number(at), kind: 'event', text },
    ...(attempts as RedisReply[][]).map(([attemptAt, endpoint, number, outcome, base]): TraceRow => {
      const { status } = JSON.parse(String(base)) as { status: number | null }
      return {
        atMs: Number(attemptAt),
        kind: 'attempt',
        text: `${text} to ${String(endpoint)}, attempt ${String(number)}: ${status ?? String(outcome)}`,
      }
    }),
  ]
}
