import type { Clock, Component } from '@keelson/kernel'
import { asked } from './asked.ts'

/** What is known of one correlation id. */
export interface Explained {
  readonly correlationId: string
  /** The oldest first; `at` in ms of the wall clock. */
  readonly rows: readonly { readonly at: number; readonly kind: string; readonly text: string }[]
  /** Why components did not answer: there may be more to know. */
  readonly silent: readonly string[]
}

/** Asks everyone who keeps a trace, and puts the rows in the order of their time. */
export async function explain(
  correlationId: string,
  components: readonly Pick<Component, 'trace'>[],
  timeoutMs: number,
  clock: Clock,
): Promise<Explained> {
  async function rowsOf(component: Pick<Component, 'trace'>): Promise<Explained['rows']> {
    const rows = (await component.trace?.(correlationId)) ?? []
    return rows.map(({ at, kind, text }) => ({ at, kind, text }))
  }
  const answers = await Promise.all(components.map((one) => asked(() => rowsOf(one), timeoutMs, clock)))
  return {
    correlationId,
    rows: answers.flatMap((one) => (one.kind === 'answer' ? one.value : [])).toSorted((a, b) => a.at - b.at),
    silent: answers.flatMap((one) => (one.kind === 'silence' ? [`${one.code}: ${one.message}`] : [])),
  }
}
