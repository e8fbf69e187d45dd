import type { Op, OpResult, PullResponse, PushResponse } from '@keelson/sync'
import type { Doc } from './edits.ts'
import { freshKept, withEdit, withPages, withResults, type Kept, type Local, type Move, type Step } from './kept.ts'

export interface WireOptions {
  /** Where the routes of the server are. */
  readonly url: string
  readonly headers?: () => Record<string, string>
  readonly fetch?: typeof fetch
  /** An edit that came to nothing, or to less than was meant: for the user. */
  readonly onIssue: (op: Op, result: OpResult) => void
}

/** Where a database keeps what the wire needs. */
export interface Place {
  load(): Promise<Kept | undefined> | Kept | undefined
  /** Durable when it resolves; where the database can, in one transaction with what it makes of the moves. */
  save(kept: Kept, moves: readonly Move[]): Promise<void> | void
}

/** One collection of a server for one database, one call at a time. */
export interface Wire {
  kept(): Kept
  /** Edits are durable when it resolves, and go with the next push. */
  keep(edits: readonly Local[]): Promise<void>
  /** Sends edits, behind what may have been sent before. */
  push(edits?: readonly Local[]): Promise<void>
  /** Takes what is new. Answers the records as they were before. */
  pull(isEdited?: (id: string, doc: Doc) => boolean): Promise<Kept['recs']>
  /** Both, with what is kept. Rejects when the server asks for some of it again. */
  round(): Promise<void>
}

/** Together less than a request may have, whatever is in them. */
const OPS = 15
const ROWS = 1_000

export async function openWire(c: string, place: Place, o: WireOptions): Promise<Wire> {
  let kept = (await place.load()) ?? freshKept()

  async function take(step: Step): Promise<void> {
    kept = step.kept
    await place.save(kept, step.moves)
  }

  /** Undefined: the cursor is of no use any more. */
  async function ask<T>(path: string, body: object): Promise<T | undefined> {
    const response = await (o.fetch ?? fetch)(`${o.url}/${c}/${path}`, {
      method: 'POST',
      headers: { ...o.headers?.(), 'content-type': 'application/json' },
      body: JSON.stringify({ v: 1, client: kept.client, ...body }),
    })
    if (response.ok) return (await response.json()) as T
    if (response.status === 410 && 'cursor' in body && body.cursor !== null) return undefined
    throw new Error(`sync: the server answers ${response.status} ${await response.text()}`)
  }

  async function keep(edits: readonly Local[]): Promise<void> {
    const nowMs = Date.now()
    // Stamps of one device never go back.
    const inOrder = edits.toSorted((a, b) => (a.at ?? nowMs) - (b.at ?? nowMs))
    const next = inOrder.reduce((before, edit) => withEdit(before, c, edit, nowMs), kept)
    if (next !== kept) await take({ kept: next, moves: [] })
  }

  async function push(edits: readonly Local[] = []): Promise<void> {
    // Before it is sent: what is sent again must have its name.
    await keep(edits)
    for (let left = kept.sending.length; left > 0; left -= OPS) {
      const ops = kept.sending.slice(0, Math.min(OPS, left))
      const answer = (await ask<PushResponse>('push', { sentAt: Date.now(), ops }))!
      await take(withResults(kept, answer.results))
      for (const [i, result] of answer.results.entries())
        if (result.status !== 'applied' && result.status !== 'retry') o.onIssue(ops[i]!, result)
        else if (result.lost !== undefined) o.onIssue(ops[i]!, result)
    }
  }

  async function pull(isEdited: (id: string, doc: Doc) => boolean = () => false): Promise<Kept['recs']> {
    const { recs } = kept
    const pages: PullResponse[] = []
    for (let cursor = kept.cursor, more = true; more;) {
      const page = await ask<PullResponse>('pull', { cursor, limit: ROWS })
      if (page === undefined) pages.length = 0
      else pages.push(page)
      cursor = page?.cursor ?? null
      more = page?.more ?? true
    }
    await take(withPages(kept, pages, c, isEdited))
    return recs
  }

  async function round(): Promise<void> {
    await push()
    if (kept.sending.length > 0) throw new Error('sync: the server asks for some of it again')
    await pull()
  }

  return { kept: () => kept, keep, push, pull, round }
}
