import fc from 'fast-check'
import { expect, test } from 'vitest'
import { NO_PLACE, sealedUpTo, type Sealed } from '../../src/postgres/snapshot.ts'

interface Entry {
  readonly xid: number
  readonly seq: number
  readonly name: string
}

/** Transactions of a server: what they wrote, and which of them have ended. */
function aServer() {
  let xmax = 5
  let seq = 0
  const open = new Map<number, Entry[]>()
  const visible: Entry[] = []
  return {
    begin: () => void open.set(xmax++, []),
    write(n: number) {
      const xid = [...open.keys()][n % Math.max(1, open.size)]
      if (xid !== undefined) open.get(xid)!.push({ xid, seq: ++seq, name: `${xid}/${seq}` })
    },
    end(n: number, commits: boolean) {
      const xid = [...open.keys()][n % Math.max(1, open.size)]
      if (xid === undefined) return
      if (commits) visible.push(...open.get(xid)!)
      open.delete(xid)
    },
    get now() {
      const xids = [...open.keys()]
      return `${xids[0] ?? xmax}:${xmax}:${xids.join(',')}`
    },
    visible,
  }
}

function sees(snapshot: string, xid: number): boolean {
  const [, xmax, open] = snapshot.split(':')
  return xid < Number(xmax) && !open!.split(',').includes(String(xid))
}

/** As unsealed.sql.ts says it. */
function unsealed(visible: readonly Entry[], { done, xid, seq }: Sealed): Entry[] {
  const turn = (e: Entry): number => (e.xid === Number(xid) ? 0 : e.xid)
  return visible
    .filter((e) => !sees(done, e.xid) && (e.xid !== Number(xid) || e.seq > Number(seq)))
    .toSorted((a, b) => turn(a) - turn(b) || a.seq - b.seq)
}

test('whatever commits when, each entry is sealed once, and what commits before a seal is in it or in one before', () => {
  const step = fc.oneof(
    { weight: 2, arbitrary: fc.record({ do: fc.constant('begin' as const) }) },
    { weight: 6, arbitrary: fc.record({ do: fc.constant('write' as const), n: fc.nat(9) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('end' as const), n: fc.nat(9), commits: fc.boolean() }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('seal' as const), max: fc.integer({ min: 1, max: 6 }) }) },
  )
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 120 }), (steps) => {
      const server = aServer()
      let sealed: Sealed = { done: '1:1:', ...NO_PLACE }
      const names: string[] = []
      const seal = (max: number): number => {
        const { now } = server
        const rows = unsealed(server.visible, sealed).slice(0, max)
        sealed = rows.length < max ? { done: now, ...NO_PLACE } : sealedUpTo(sealed, now, placeOf(rows.at(-1)!))
        names.push(...rows.map(({ name }) => name))
        return rows.length
      }
      for (const each of steps) {
        if (each.do === 'begin') server.begin()
        else if (each.do === 'write') server.write(each.n)
        else if (each.do === 'end') server.end(each.n, each.commits)
        else if (seal(each.max) < each.max) expect(names.length).toBe(server.visible.length)
      }
      while (seal(3) === 3);
      expect(names.toSorted()).toEqual(server.visible.map(({ name }) => name).toSorted())
    }),
    { numRuns: process.env['LONG'] === '1' ? 20_000 : 2_000 },
  )
})

const placeOf = ({ xid, seq }: Entry) => ({ xid: String(xid), seq: String(seq) })
