import type { Subject } from '@keelson/kernel/conformance'
import { virtualClock } from '@keelson/kernel/testing'
import type { DropLogUnderTest } from './drop-log-under-test.ts'
import { goodLogSteps as good, logOfSteps, type LogSteps } from './log-of-steps.ts'

/** One wrong step each; the name says what is wrong. */
const wrongSteps: Record<string, Partial<LogSteps>> = {
  'drop before commit': { insertsAtOnce: true },
  'a rolled-back transaction drops': { keepsRolledBack: true },
  'the last row is not inserted': { inserted: (rows) => (rows.length > 1 ? rows.slice(0, -1) : rows) },
  'rows over 500 are not inserted': { inserted: (rows) => rows.slice(0, 500) },
  'nothing is inserted': { inserted: () => [] },
  'tags end at a zero': { inserted: (rows) => rows.map((row) => ({ ...row, tag: row.tag.split('\u0000')[0]! })) },
  'tags are split at a comma': {
    inserted: (rows) => rows.map((row) => ({ ...row, tag: row.tag.split(',')[0]! })),
  },
  'tags are cut at 255 bytes': { inserted: (rows) => rows.map((row) => ({ ...row, tag: row.tag.slice(0, 255) })) },
  'scopes are lost': { inserted: (rows) => rows.map((row) => ({ ...row, scope: 'acme' })) },
  'operations are one': { inserted: (rows) => rows.map((row) => ({ ...row, operation: rows[0]!.operation })) },
  'names are one': { ofName: () => true },
  'names are what begins so': { ofName: (row, name) => row.name.startsWith(name) },
  'an operation asks for all': { isPending: () => true },
  'an operation asks for nothing': { isPending: (_, operation) => operation === undefined },
  'settle that skips locked rows': { isPending: (row, operation) => !row.locked && good.isPending(row, operation) },
  'settle that skips locked rows of an operation': {
    isPending: (row, operation) => good.isPending(row, operation) && (operation === undefined || !row.locked),
  },
  'pending knows no limit': { limited: (rows) => rows },
  'pending of an operation knows no limit': {
    limited: (rows, limit, operation) => good.limited(rows, operation === undefined ? limit : undefined, operation),
  },
  'pending is limited to 500': { limited: (rows, limit = 500) => rows.slice(0, Math.min(limit, 500)) },
  'relay that applies young rows': { mayClaim: (row) => !row.locked },
  'relay that applies no row': { mayClaim: () => false },
  'ages are in seconds': { mayClaim: (row, nowMs, olderThanMs) => good.mayClaim(row, nowMs / 1000, olderThanMs) },
  'ages are by the clock of the node': { nowMs: (clock) => clock.now() },
  'two relays apply one row': { locks: false },
  'relays apply what others hold': { mayClaim: (row, ...o) => good.mayClaim({ ...row, locked: false }, ...o) },
  'a relay waits for what another holds': {
    mayClaim: (row, ...o) => good.mayClaim(row, ...o),
    claimed: (rows, limit) => (rows.length === 1 ? [] : rows.slice(0, limit)),
  },
  'relay deletes before it applies': { deletes: 'before' },
  'relay deletes nothing': { deletes: 'never' },
  'relay deletes without applying': { appliesNothing: true },
  'a claim knows no limit': { claimed: (rows) => rows },
  'a claim takes one row': { claimed: (rows) => rows.slice(0, 1) },
  'a claim takes the last row only': { claimed: (rows) => rows.slice(-1) },
  'what could not be applied is deleted': { onRejected: 'delete' },
  'what could not be applied stays locked': { onRejected: 'keep locked' },
  'a claim swallows why it failed': { rethrows: false },
  'a claim answers nothing': { count: () => 0 },
  'done deletes nothing': { isDone: () => false },
  'done deletes everything': { isDone: () => true },
  'done deletes the first id only': { isDone: (id, ids) => ids[0] === id },
  'done deletes a hundred': { isDone: (id, ids) => ids.slice(0, 100).includes(id) },
  'done leaves what is locked': { isDone: (id, ids, row) => ids.includes(id) && ids.length > 1 && !row.locked },
  'a trace is empty': { isTraced: () => false },
  'a trace is of all requests': { isTraced: () => true },
  'a trace is of what begins so': { isTraced: (row, id) => row.correlationId?.startsWith(id) === true },
  'a trace is in seconds': { tracedAt: (nowMs) => nowMs / 1_000 },
  'correlation ids are lost': {
    inserted: (rows) => rows.map(({ id, name, scope, tag, operation }) => ({ id, name, scope, tag, operation })),
  },
  'a backlog counts nothing': { backlog: () => ({ rows: 0, oldestMs: 0 }) },
  'a backlog is as old as its youngest': {
    backlog: (rows, nowMs) => ({
      rows: rows.length,
      oldestMs: rows.length === 0 ? 0 : nowMs - Math.max(...rows.map(({ atMs }) => atMs)),
    }),
  },
  'a backlog of nothing has an age': {
    backlog: (rows, nowMs) => (rows.length === 0 ? { rows: 0, oldestMs: nowMs } : good.backlog(rows, nowMs)),
  },
  'a backlog of nothing is infinitely young': {
    backlog: (rows, nowMs) => ({
      rows: rows.length,
      oldestMs: nowMs - Math.min(...rows.map(({ atMs }) => atMs)),
    }),
  },
  'a backlog leaves out what is locked': {
    backlog: (rows, nowMs) =>
      good.backlog(
        rows.filter(({ locked }) => !locked),
        nowMs,
      ),
  },
  'a backlog in seconds': {
    backlog(rows, nowMs) {
      const told = good.backlog(rows, nowMs)
      return { ...told, oldestMs: told.oldestMs / 1e6 }
    },
  },
}

/** Logs that are wrong in one way each, with a database of their own: what {@link dropLogSuite} must catch. */
export const brokenLogs: Readonly<Record<string, Subject<DropLogUnderTest>>> = Object.fromEntries(
  Object.entries(wrongSteps).map(([name, wrong]) => [name, brokenLog(wrong)]),
)

function brokenLog(wrong: Partial<LogSteps>): Subject<DropLogUnderTest> {
  return {
    has: ['parallel'],
    async make() {
      const clock = virtualClock()
      return {
        ...logOfSteps({ ...good, ...wrong }, clock),
        async elapse(ms) {
          await clock.advance(ms)
          // The clock of this node goes the other way.
          clock.jumpWall(-2 * ms)
        },
        async dispose() {},
      }
    },
  }
}
