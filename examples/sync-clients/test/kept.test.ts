import { expect, test } from 'vitest'
import type { OpResult } from '@keelson/sync'
import { freshKept, localOf, withEdit, withPages, withResults, type Kept } from '../src/kept.ts'

const stamp = (ms: number, node = 'other'): string => `${ms.toString(36).padStart(9, '0')}-0000-${node}`
const NOON = 43_200_000
const NINE = 32_400_000

/** It was told one record. */
function told(h: string, doc: Record<string, string> = { title: 'x' }): Kept {
  const rec = { id: 't1', s: 'tag', h, doc }
  const page = { v: 1 as const, now: 0, mode: 'delta' as const, cursor: 'c1', more: false }
  const changes = { task: { created: [rec], updated: [], deleted: [] } }
  return withPages(freshKept(), [{ ...page, changes }], 'task', () => false).kept
}

const applied = (h: string, more: Partial<OpResult> = {}): OpResult => ({ op: 'op', status: 'applied', h, ...more })

test('an edit of nine that is sent at noon is one of nine', () => {
  const { sending } = withEdit(told(stamp(1)), 'task', { id: 't1', doc: { title: 'a' }, at: NINE }, NOON)
  expect(sending).toMatchObject([{ h: stamp(NINE, sending[0]!.h.slice(15)), set: { title: 'a' }, t: 'patch' }])
})

test('what a pull has brought since an edit it has not seen, and has not read', () => {
  const before = told(stamp(1))
  const after = { ...before, recs: told(stamp(NOON), { title: 'later' }).recs }
  const [op] = withEdit(after, 'task', localOf(before.recs, 't1', NINE, { text: 'a' }), NOON).sending
  expect(op).toMatchObject({ set: { text: 'a' }, seen: stamp(1), base: stamp(1) })
  expect(op!.set).toEqual({ text: 'a' })
})

test('stamps do not go back', () => {
  const first = withEdit(told(stamp(1)), 'task', { id: 't1', doc: { title: 'a' }, at: NOON }, NOON)
  const { sending } = withEdit(first, 'task', { id: 't2', doc: { title: 'b' }, at: NINE }, NOON)
  expect(sending[1]!.h > sending[0]!.h).toBe(true)
})

test('a state with a name becomes one operation, also when that is answered', () => {
  const local = { id: 't1', doc: { title: 'a' }, before: { title: 'x' }, state: '2-abc' }
  const sent = withEdit(told(stamp(1)), 'task', local, NOON)
  expect(withEdit(sent, 'task', local, NOON)).toBe(sent)
  const { kept } = withResults(sent, [applied(stamp(NOON))])
  expect(withEdit(kept, 'task', local, NOON).sending).toEqual([])
  expect(withEdit(kept, 'task', { ...local, state: '4-abc' }, NOON).sending).toHaveLength(1)
})

test('an edit that counts is there, also beside what others have written later', () => {
  const sent = withEdit(told(stamp(NOON)), 'task', { id: 't1', doc: { title: 'x', text: 'a' }, at: NINE }, NOON)
  const { kept, moves } = withResults(sent, [applied(stamp(NINE))])
  expect(kept.recs['t1']).toMatchObject({ h: stamp(NOON), doc: { title: 'x', text: 'a' } })
  expect(moves).toEqual([{ id: 't1', before: { title: 'x', text: 'a' }, after: { title: 'x', text: 'a' } }])
})

test('an answer that comes late takes nothing back that a pull has told since', () => {
  const sent = withEdit(told(stamp(1)), 'task', { id: 't1', doc: { title: 'a' }, at: NINE }, NOON)
  const since = { ...sent, recs: told(stamp(NOON), { title: 'later' }).recs }
  const { kept } = withResults(since, [applied(stamp(NINE), { replay: true })])
  expect(kept.recs['t1']?.doc).toEqual({ title: 'later' })
  expect(kept.sending).toEqual([])
})

test('what the server wants again stays, under another name when it asks for one', () => {
  const sent = withEdit(told(stamp(1)), 'task', { id: 't1', doc: { title: 'a' } }, NOON)
  const busy = withResults(sent, [{ op: 'op', status: 'retry', code: 'busy' }])
  expect([busy.kept.sending, busy.kept.client, busy.moves]).toEqual([sent.sending, sent.client, []])
  const clone = withResults(sent, [{ op: 'op', status: 'retry', code: 'new-node' }])
  expect(clone.kept.sending).toEqual(sent.sending)
  expect(clone.kept.client).not.toBe(sent.client)
})
