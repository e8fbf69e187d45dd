import type { Statement } from '@keelson/kernel'
import { prepared } from '@keelson/kernel/postgres'
import type { Bumped, Member, MemberEvents } from '../store.ts'
import { pollSql, type PollRow } from './poll.sql.ts'
import { fromText } from './text.ts'

/** Who is so far behind forgets everything. */
const MAX_DROPS = 10_000

type AskState = <Row>(statement: Statement, answered: (rows: readonly Row[]) => boolean) => Promise<readonly Row[]>

/** Hears of drops by asking for them at each renewal: staleness is bounded by the lease, and nobody waits for a node. */
export async function joinByPolling(
  name: string,
  { askState, schema, on }: { askState: AskState; schema: string; on: MemberEvents },
): Promise<Member> {
  const text = pollSql(schema)
  const poll = (seen: string | null): Promise<readonly PollRow[]> =>
    askState<PollRow>(prepared(text, [name, seen, MAX_DROPS]), ({ length }) => length > 0)
  let [{ seen }] = (await poll(null)) as [PollRow]
  return {
    async renew() {
      const rows = await poll(seen)
      const { epoch, missed } = rows[0]!
      if (missed || rows.length === MAX_DROPS) {
        on.lost()
        throw new Error('the drops since the last poll are not known any more')
      }
      for (const [stamp, list] of byTransaction(rows)) on.bump({ stamp, from: '', list })
      seen = rows[0]!.seen
      return { epoch }
    },
    ack() {},
    async leave() {},
  }
}

function byTransaction(rows: readonly PollRow[]): Map<string, Bumped[]> {
  const found = new Map<string, Bumped[]>()
  for (const { stamp, scope, tag, soft } of rows) {
    if (stamp === null) continue
    const list = found.get(stamp) ?? []
    list.push({ scope: fromText(scope), tags: [fromText(tag)], soft })
    found.set(stamp, list)
  }
  return found
}
