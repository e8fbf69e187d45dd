import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { until } from '../../../../tools/servers/until.ts'
import type { Cell } from './cells.ts'
import type { Answer } from './node.ts'
import { states, type State, type Store } from './stores.ts'

const PATIENCE_MS = 90_000

/** How a cell is tried. */
export interface Check {
  /** While all is well. */
  before?(): Promise<unknown>
  away(): Promise<unknown>
  back(): Promise<unknown>
}

/** One outage of each kind: all cells in it, then all of them when it is over. */
export function testCells<Name extends string>(
  cells: Readonly<Record<Name, Cell>>,
  store: () => Store,
  checksFor: (state: State) => Readonly<Record<Name, Check>>,
): void {
  describe.each(states)('%s', (state) => {
    const names = Object.keys(cells) as Name[]
    let checks: Readonly<Record<Name, Check>>
    beforeAll(async () => {
      checks = checksFor(state)
      for (const name of names) await checks[name].before?.()
      store().hurt(state)
    })
    afterAll(() => store().heal())

    test.each(names)(`%s, away`, (name) => checks[name].away() as Promise<void>)

    describe('and back', () => {
      beforeAll(() => store().heal())
      test.each(names)(`%s`, (name) => checks[name].back() as Promise<void>)
    })
  })
}

/** Asks until it is answered as wanted: a machine that stalls is no outage. */
export async function served(ask: () => Promise<Answer>, status: number): Promise<Answer> {
  return await until(`status ${status}`, PATIENCE_MS, async () => {
    const answer = await ask()
    if (answer.status !== status) throw new Error(`${answer.status} ${answer.text}`)
    return answer
  })
}

export async function holds(what: string, look: () => Promise<boolean>): Promise<void> {
  await until(what, PATIENCE_MS, async () => (await look()) || undefined)
}

/** The answer of an outage. */
export function expectRefusal({ status, code, headers }: Answer): void {
  expect([status, code]).toEqual([503, 'store-unavailable'])
  expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
}
