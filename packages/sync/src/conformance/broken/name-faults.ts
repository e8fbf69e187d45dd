import type { RecordKey } from '../../store.ts'
import type { Fault } from './fault.ts'

/** Names of records are one where `as` makes them one. */
const collates =
  (name: 'scope' | 'id', as: (text: string) => string): Fault =>
  (store) => {
    const one = <K extends RecordKey>(key: K): K => ({ ...key, [name]: as(key[name]) })
    const scope = name === 'scope' ? as : (text: string) => text
    return {
      pull: async (q) => store.pull({ ...q, scopes: q.scopes.map((each) => ({ ...each, name: scope(each.name) })) }),
      push: async (q, work, o) =>
        store.push(
          { ...q, keys: q.keys.map(one) },
          async (pushing) => {
            const { writes, value } = await work(pushing)
            return { writes: { ...writes, records: writes.records.map(one) }, value }
          },
          o,
        ),
      change: async (changes, node, o) => store.change(changes.map(one), node, o),
      forget: async (q, node) => store.forget({ ...q, scope: scope(q.scope) }, node),
    }
  }

/** Devices, and the operations of each, by other names. */
const knows =
  (device: (text: string) => string, op: (text: string) => string): Fault =>
  (store) => ({
    client: async (client) => store.client(device(client)),
    push: async (q, work, o) =>
      store.push(
        { ...q, client: device(q.client), ops: q.ops.map(op) },
        async (pushing) => {
          const { writes, value } = await work(pushing)
          const client = { ...writes.client, client: device(writes.client.client) }
          const results = writes.results.map((row) => ({ ...row, op: op(row.op) }))
          return { writes: { ...writes, client, results }, value }
        },
        o,
      ),
  })

const same = (text: string): string => text
const anyCase = (text: string): string => text.toLowerCase()

export const nameFaults: Record<string, Fault> = {
  'scopes in any case are one': collates('scope', anyCase),
  'scopes with blanks behind are one': collates('scope', (text) => text.trimEnd()),
  'scopes with any accent are one': collates('scope', (text) => text.normalize('NFD').replaceAll(/\p{M}/gu, '')),
  'scopes in any normal form are one': collates('scope', (text) => text.normalize()),
  'scopes that begin so are one': collates('scope', (text) => text.slice(0, 100)),
  'records in any case are one': collates('id', anyCase),
  'records that begin so are one': collates('id', (text) => text.slice(0, 100)),
  'devices in any case are one': knows(anyCase, same),
  'operations in any case are one': knows(same, anyCase),
}
