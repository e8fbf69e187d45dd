import type { Editing } from './editing.ts'
import { copyOf } from './editing.ts'
import { opKey, type Pending, type Replica } from './replica.ts'
import type { Issue, OpRef } from './sync-client.ts'

/** An edit that came to nothing, as the user is told of it. */
export function issueOf(
  { n, op, issue }: Pending & Required<Pick<Pending, 'issue'>>,
  replica: Replica,
  editing: Editing,
): Issue {
  const { result, mine, theirs } = issue
  const { op: name, c, id, t, set, unset, dep, h } = op
  const edit = { c, id, t, ...(set && { set }), ...(unset && { unset }) }

  async function keepMine(): Promise<OpRef | undefined> {
    const isThere = replica.recsOf(c, id).length > 0
    // What is gone comes back whole.
    const whole = t !== 'delete' && !isThere ? { c, id, t: 'put' as const, set: mine ?? set ?? {} } : edit
    return await editing.add(whole, { n, mine, as: {} })
  }

  return {
    op: name,
    c,
    id,
    code: result.code ?? result.status,
    ...(result.detail === undefined ? {} : { detail: result.detail }),
    mine: copyOf(mine),
    theirs: copyOf(theirs),
    retry: () => {
      const { seen, base } = op
      return editing.add(
        { ...edit, ...(dep && { dep }) },
        { n, mine, as: { h, ...(seen && { seen }), ...(base && { base }) } },
      )
    },
    discard: () => replica.update(() => ({ entries: [[opKey(n), undefined]] })),
    keepMine,
  }
}
