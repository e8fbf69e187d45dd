import type { Asked } from '../asked.ts'
import type { Html } from './html.ts'

/** What was done, and where it is seen: the query of the page that says so. */
type Seen = Readonly<Record<string, string>>

/** A part of the page that people ask, and act on. */
export interface Section {
  /** As `?see=` names it. */
  readonly name: string
  /** `query` is that of the request if it is about this section, else empty. */
  show(query: URLSearchParams): Promise<Html>
  /** What its buttons do, by `?do=`; `body` has the fields of the form. */
  readonly actions: Readonly<Record<string, (query: URLSearchParams, body: URLSearchParams) => Promise<Seen>>>
}

/** Asks, in time, and never rejects. */
export type Ask = <T>(question: () => T | Promise<T>) => Promise<Asked<T>>

/** What a page may say of an action; nobody makes it say anything else by a link. */
export const DONE: Readonly<Record<string, string>> = {
  retried: 'The delivery goes again now.',
  redriven: 'The dead deliveries go again, at most 50 a second.',
  freed: 'The key may run again.',
  'not-freed': 'Nothing was changed: no run of this key is lost.',
}
