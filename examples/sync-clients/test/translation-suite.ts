import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import type { SyncClient } from '@keelson/sync/client'
import { until } from '../../../tools/servers/until.ts'
import { docsOf, openLine, openStand, type Device, type Line, type OpenDevice, type Stand } from './stand.ts'

/** What a database of another make can on a server of ours. */
export interface Facts {
  /** Its users may take the id of what they deleted again. */
  readonly reusesIds: boolean
}

/** The clock has moved on, by more than clocks of one machine differ. */
export async function later(): Promise<void> {
  const sinceMs = Date.now()
  await until('the clock has moved on', 60_000, async () => Date.now() > sinceMs + 20 || undefined)
}

/** All translations keep the same promises: two devices of a library and one of ours, on a real server. */
export function translationSuite(open: OpenDevice, { reusesIds }: Facts): void {
  let stand: Stand
  let n = 0
  beforeAll(async () => {
    stand = await openStand()
  })
  afterAll(() => stand.close())

  interface Opened extends Device {
    readonly line: Line
    again(): Promise<Opened>
  }

  async function device(dir?: string): Promise<Opened> {
    const place = dir ?? (await mkdtemp(join(tmpdir(), 'keelson-sync-')))
    if (dir === undefined) onTestFinished(() => rm(place, { recursive: true, force: true }))
    const line = openLine()
    const onIssue: Parameters<OpenDevice>[0]['onIssue'] = (op, result) => void line.issues.push({ op, result })
    const opened = await open({ url: stand.url, fetch: line.fetch, onIssue }, place)
    let isOpen = true
    const close = async (): Promise<void> => {
      if (isOpen) await opened.close()
      isOpen = false
    }
    onTestFinished(close)
    return { ...opened, close, line, again: async () => (await close(), await device(place)) }
  }

  /** Two devices, ours, and ids of this test alone. */
  async function all(): Promise<{ a: Opened; b: Opened; c: SyncClient; t: string; u: string }> {
    const [t, u] = [`t${++n}`, `u${n}`]
    return { a: await device(), b: await device(), c: stand.client(), t, u }
  }

  const tasks = (c: SyncClient) =>
    c.collection<{ title?: string; text?: string; done?: boolean; team?: string; budget?: number }>('task')

  async function quiet(devices: readonly { sync(): Promise<unknown> }[]): Promise<void> {
    for (let round = 0; round < 2; round++) for (const one of devices) await one.sync()
  }

  async function allEqual(devices: readonly Device[], c: SyncClient): Promise<Record<string, object>> {
    await quiet([...devices, c])
    const docs = await stand.docs()
    for (const one of devices) expect(await one.docs()).toEqual(docs)
    expect(await docsOf(c)).toEqual(docs)
    return docs
  }

  test('what is created, edited and deleted anywhere is so everywhere', async () => {
    const { a, b, c, t, u } = await all()
    await a.put(t, { title: 'a', team: '1' })
    await tasks(c).put(u, { title: 'c', text: 'x', team: '1' })
    expect(await allEqual([a, b], c)).toMatchObject({ [t]: { title: 'a' }, [u]: { text: 'x' } })
    await b.patch(t, { title: 'b', done: true })
    await a.patch(u, { text: 'y' })
    expect(await allEqual([a, b], c)).toMatchObject({ [t]: { title: 'b', done: true }, [u]: { title: 'c', text: 'y' } })
    await tasks(c).patch(t, { title: 'c' })
    await b.delete(u)
    const docs = await allEqual([a, b], c)
    expect(docs).toMatchObject({ [t]: { title: 'c', done: true } })
    expect(docs).not.toHaveProperty(u)
    await tasks(c).delete(t)
    expect(await allEqual([a, b], c)).not.toHaveProperty(t)
    expect(new Set(stand.wins).size).toBe(stand.wins.length)
  })

  test('edits of different fields of a record both stay', async () => {
    const { a, b, c, t } = await all()
    await a.put(t, { title: 'x', text: 'x', done: false, team: '1' })
    await allEqual([a, b], c)
    await a.patch(t, { title: 'a' })
    await b.patch(t, { text: 'b' })
    await tasks(c).patch(t, { done: true })
    expect(await allEqual([a, b], c)).toMatchObject({ [t]: { title: 'a', text: 'b', done: true } })
  })

  test('of edits of the same field all have the one that won at the server', async () => {
    const { a, b, c, t } = await all()
    await a.put(t, { title: 'x', team: '1' })
    await allEqual([a, b], c)
    await a.patch(t, { title: 'a' })
    await b.patch(t, { title: 'b' })
    await tasks(c).patch(t, { title: 'c' })
    const docs = await allEqual([a, b], c)
    expect(['a', 'b', 'c']).toContain((docs[t] as { title: string }).title)
  })

  test('an edit counts as made when it was made, not when it was sent', async () => {
    const { a, b, c, t, u } = await all()
    const ids = [t, u, `${t}-gone`]
    for (const id of ids) await a.put(id, { title: 'x', team: '1' })
    await allEqual([a, b], c)
    await tasks(c).patch(u, { title: 'early' })
    await a.patch(t, { title: 'early' })
    await a.delete(ids[2]!)
    await later()
    await a.patch(u, { title: 'late' })
    await tasks(c).patch(t, { title: 'late' })
    const early = await b.docs()
    expect(early[t]).toMatchObject({ title: 'x' })
    await b.patch(ids[2]!, { title: 'late' })
    await b.sync()
    // All of the newer ones are there when the older ones come.
    const d = stand.client()
    await d.sync()
    await tasks(d).patch(t, { text: 'd' })
    await d.sync()
    await c.sync()
    const docs = await allEqual([a, b], c)
    expect(docs).toMatchObject({
      [t]: { title: 'late', text: 'd' },
      [u]: { title: 'late' },
      [ids[2]!]: { title: 'late' },
    })
    expect(a.line.issues.map(({ op, result }) => `${op.id} ${result.status}`).toSorted()).toEqual(
      [`${t} superseded`, `${ids[2]} superseded`].toSorted(),
    )
  })

  test('an edit that is made while a round is under way stays, goes with the next, and has its own time', async () => {
    const { a, b, c, t } = await all()
    await a.put(t, { title: 'x', text: 'x', team: '1' })
    await allEqual([a, b], c)
    await tasks(c).patch(t, { title: 'c' })
    await c.sync()
    let edit: Promise<void> | undefined
    a.line.during(async () => {
      edit = a.patch(t, { text: 'a', done: true })
      await later()
      await tasks(c).patch(t, { text: 'late' })
      await later()
    })
    await a.sync()
    await edit
    expect((await a.docs())[t]).toMatchObject({ text: 'a', done: true })
    await c.sync()
    expect(await allEqual([a, b], c)).toMatchObject({ [t]: { title: 'c', text: 'late', done: true } })
  })

  test('an edit of what was deleted meanwhile brings nothing back, and is told', async () => {
    const { a, b, c, t } = await all()
    await a.put(t, { title: 'x', team: '1' })
    await allEqual([a, b], c)
    await a.patch(t, { title: 'a' })
    await tasks(c).delete(t)
    await c.sync()
    expect(await allEqual([a, b], c)).not.toHaveProperty(t)
    expect(a.line.issues).toMatchObject([{ op: { id: t }, result: { status: 'conflict', code: 'gone' } }])
  })

  test('a lost answer: the same operations again, and nothing counts twice', async () => {
    const { a, b, c, t, u } = await all()
    await a.put(u, { title: 'x', team: '1' })
    await allEqual([a, b], c)
    a.line.loseAnswers(1)
    await a.put(t, { title: 'a', team: '1' })
    await a.patch(u, { title: 'a' })
    await a.sync().catch(() => {})
    await c.sync()
    await tasks(c).patch(u, { title: 'later' })
    await c.sync()
    const docs = await allEqual([a, b], c)
    expect(docs).toMatchObject({ [t]: { title: 'a' }, [u]: { title: 'later' } })
    expect(a.line.lost).not.toEqual([])
    expect(a.line.replays).toEqual(a.line.lost)
    expect(new Set(stand.wins).size).toBe(stand.wins.length)
    expect(a.line.issues).toEqual([])
  })

  test('what is refused is told, gives way to what the server has, and stops nothing else', async () => {
    const { a, b, c, t, u } = await all()
    await a.put(t, { title: 'x', budget: 1, team: '1' })
    await a.put(u, { title: 'x', team: '1' })
    await allEqual([a, b], c)
    await a.patch(t, { budget: 2 })
    await tasks(c).patch(t, { budget: 3 })
    await c.sync()
    await a.patch(u, { title: 'forbidden' })
    await a.put(`${t}-new`, { title: 'forbidden', team: '1' })
    await a.put(`${t}-good`, { title: 'good', team: '1' })
    const docs = await allEqual([a, b], c)
    expect(docs).toMatchObject({ [t]: { budget: 3 }, [u]: { title: 'x' }, [`${t}-good`]: { title: 'good' } })
    expect(docs).not.toHaveProperty(`${t}-new`)
    const told = a.line.issues.map(({ op, result }) => `${op.id} ${result.code}`).toSorted()
    expect(told).toEqual([`${t} stale-base`, `${t}-new forbidden`, `${u} forbidden`].toSorted())
  })

  test('records of a team that the user leaves leave the devices, and come back with it', async () => {
    const { a, b, c, t, u } = await all()
    onTestFinished(() => void stand.teams.add('2'))
    await a.put(t, { title: 'x', team: '1' })
    await a.put(u, { title: 'x', team: '2' })
    await allEqual([a, b], c)
    stand.teams.delete('2')
    await b.patch(u, { title: 'too late' })
    const docs = await allEqual([a, b], c)
    expect(docs).toHaveProperty(t)
    expect(docs).not.toHaveProperty(u)
    expect(b.line.issues).toMatchObject([{ op: { id: u }, result: { status: 'conflict' } }])
    expect(['scope-lost', 'gone']).toContain(b.line.issues[0]!.result.code)
    stand.teams.add('2')
    expect(await allEqual([a, b], c)).toMatchObject({ [u]: { title: 'x' } })
  })

  test('a record that moves to another team stays where both are seen', async () => {
    const { a, b, c, t } = await all()
    await a.put(t, { title: 'x', team: '1' })
    await allEqual([a, b], c)
    await b.patch(t, { team: '2' })
    await tasks(c).patch(t, { title: 'c' })
    expect(await allEqual([a, b], c)).toMatchObject({ [t]: { title: 'c', team: '2' } })
  })

  test('a new era of the server: everything anew, and no edit is lost', async () => {
    const { a, b, c, t, u } = await all()
    await a.put(t, { title: 'x', team: '1' })
    await a.put(u, { title: 'x', team: '1' })
    await allEqual([a, b], c)
    await a.patch(t, { title: 'a' })
    await stand.rebase()
    await tasks(c).delete(u)
    await c.sync()
    const docs = await allEqual([a, b], c)
    expect(docs).toMatchObject({ [t]: { title: 'a' } })
    expect(docs).not.toHaveProperty(u)
    expect(a.line.cursors.filter((cursor) => cursor === null).length).toBeGreaterThanOrEqual(2)
  })

  test('the next process goes on at its cursor, with what was not sent', async () => {
    const { a, b, c, t, u } = await all()
    await a.put(t, { title: 'x', team: '1' })
    await allEqual([a, b], c)
    a.line.loseAnswers(1)
    await a.patch(t, { title: 'a' })
    await a.sync().catch(() => {})
    await tasks(c).put(u, { title: 'c', team: '1' })
    await c.sync()
    await tasks(c).patch(t, { title: 'later' })
    await c.sync()
    const again = await a.again()
    expect((await again.docs())[t]).toMatchObject({ title: 'a' })
    expect(await allEqual([again, b], c)).toMatchObject({ [t]: { title: 'later' }, [u]: { title: 'c' } })
    expect(a.line.lost).toHaveLength(1)
    expect(again.line.replays).toEqual(a.line.lost)
    expect(again.line.cursors).not.toContain(null)
    expect(new Set(stand.wins).size).toBe(stand.wins.length)
  })

  const SEED = Number(process.env['SEED'] ?? 7)
  test(`edits at random on all devices, answers that get lost: all end as the server has it (SEED=${SEED})`, async () => {
    const { a, b, c, t } = await all()
    let state = SEED
    const below = (max: number): number => (state = (state * 48_271) % 2_147_483_647) % max
    for (let i = 0; i < 20; i++) {
      const on = below(3)
      const [set, kind] = [{ [['title', 'text'][below(2)]!]: `${i}` }, below(5)]
      const one = on === 2 ? tasks(c) : [a, b][on]!
      const has = on === 2 ? await docsOf(c) : await [a, b][on]!.docs()
      const mine = Object.keys(has).filter((name) => name.startsWith(`${t}-`))
      const id = reusesIds ? `${t}-${below(4)}` : (mine[below(mine.length + 1)] ?? `${t}-${i}`)
      if (has[id] === undefined) await one.put(id, { ...set, team: '1' })
      else if (kind === 0) await one.delete(id)
      else await one.patch(id, set)
      if (below(4) === 0) [a, b][below(2)]!.line.loseAnswers(1)
      if (below(3) === 0) await [a, b, c][below(3)]!.sync().catch(() => {})
    }
    await quiet([a, b, c].map((one) => ({ sync: () => one.sync().catch(() => {}) })))
    await allEqual([a, b], c)
    expect(new Set(stand.wins).size).toBe(stand.wins.length)
  })
}
