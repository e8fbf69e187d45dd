import { merge } from '../../merge.ts'
import { keyText } from '../../record-key.ts'
import { documentOf } from '../../record.ts'
import type { RecordKey, ServerChange, StoredRecord } from '../../store.ts'
import { C, NODE, SHORT_MS, at, pushWrites, type Stage } from '../stage.ts'
import { DEVICES, SCOPES, type Changing, type Command } from './commands.ts'
import { openDevice, type Device } from './device.ts'

/** Plays commands; in the end each device must have exactly what lives in its scopes. */
export async function playCommands(stage: Stage, commands: readonly Command[]): Promise<void> {
  const { equal } = stage
  const names = Array.from({ length: SCOPES }, (_, i) => `${stage.scope}/${i}`)
  const devices = Array.from({ length: DEVICES }, () => openDevice(stage.store))
  const granted = devices.map(() => [names[0]!])
  devices.forEach((device, i) => device.grant(granted[i]!))
  const truth = new Map<string, { readonly scope: string; readonly doc: object }>()

  for (const [n, command] of commands.entries()) {
    if (command.do === 'grant') {
      granted[command.device] = names.filter((_, i) => (command.scopes & (1 << i)) !== 0)
      devices[command.device]!.grant(granted[command.device]!)
    } else if (command.do === 'pull') await devices[command.device]!.pull(command.limit, command.pages)
    else await play(stage, command, n, names, truth)
  }
  for (const [i, device] of devices.entries()) {
    await untilAll(device, 1 + (i % 3))
    equal(sorted(device.documents), sorted(documentsIn(truth, granted[i]!)), `device ${i}`)
    const fresh = openDevice(stage.peer)
    fresh.grant(granted[i]!)
    await untilAll(fresh, 2)
    equal(sorted(fresh.documents), sorted(documentsIn(truth, granted[i]!)), `one with the scopes of device ${i}`)
  }
}

type Truth = Map<string, { readonly scope: string; readonly doc: object }>

async function play(
  stage: Stage,
  command: Exclude<Command, { do: 'pull' | 'grant' }>,
  n: number,
  names: readonly string[],
  truth: Truth,
): Promise<void> {
  const { store } = stage
  switch (command.do) {
    case 'change': {
      const changes = command.changes.map((one, i) => serverChange(one, n * 10 + i, names))
      await store.change(changes, NODE)
      for (const one of changes) note(one, truth)
      return
    }
    case 'push': {
      const key = { scope: names[command.scope]!, c: C, id: command.id }
      const record = await pushOne(stage, key, command, n)
      if (record === undefined) return
      if (record.gone === undefined) truth.set(keyText(key), { scope: key.scope, doc: documentOf(record.state) })
      else truth.delete(keyText(key))
      return
    }
    case 'gc':
      await stage.elapse(SHORT_MS)
      await store.gc({ tombstonesMs: 1, opsMs: 1, batch: command.batch })
      return
    case 'forget': {
      const key = { scope: names[command.scope]!, c: C, id: command.id }
      await store.forget(key, NODE)
      truth.delete(keyText(key))
      return
    }
    case 'rebase':
      await store.rebase()
  }
}

function serverChange({ t, id, scope, to }: Changing, n: number, names: readonly string[]): ServerChange {
  const set = t === 'delete' || t === 'move' ? {} : { n, [`f${n % 3}`]: n }
  return { t, scope: names[scope]!, c: C, id, set, unset: [], ...(t === 'move' ? { to: names[to]! } : {}) }
}

/** What a change of the server makes, told without stamps: it always wins. */
function note({ t, scope, c, id, set, to }: ServerChange, truth: Truth): void {
  const key = keyText({ scope, c, id })
  const held = truth.get(key)
  if (t === 'put') truth.set(key, { scope, doc: { ...held?.doc, ...set } })
  if (held === undefined) return
  if (t === 'patch') truth.set(key, { scope, doc: { ...held.doc, ...set } })
  if (t === 'delete' || (t === 'move' && to !== scope)) truth.delete(key)
  if (t !== 'move' || to === scope) return
  const there = keyText({ scope: to!, c, id })
  truth.set(there, { scope: to!, doc: { ...truth.get(there)?.doc, ...held.doc } })
}

/** A write of a device: its stamp is somewhere near the record's. */
async function pushOne(
  { store, client }: Stage,
  key: RecordKey,
  { t, ms }: Extract<Command, { do: 'push' }>,
  n: number,
): Promise<StoredRecord | undefined> {
  return store.push({ client, keys: [key], ops: [] }, async ({ state }) => {
    const held = state.records[0]?.state
    const h = held === undefined || ms < 500 ? at(ms) : `${held.h.slice(0, 15)}zz`
    const merged = merge(held, { t, h, ...(t === 'delete' ? {} : { set: { n, pushed: n } }) }, {})
    if (merged.kind !== 'applied') return { writes: pushWrites(client), value: undefined }
    const gone = merged.record.isDeleted ? { gone: 'deleted' as const } : {}
    const record: StoredRecord = { ...key, state: merged.record, ...gone }
    return { writes: pushWrites(client, { records: [record] }), value: record }
  })
}

async function untilAll(device: Device, limit: number): Promise<void> {
  // The first may end a pull that was under way: what came meanwhile is in the second.
  for (let i = 0; i < 2; i++) {
    if (!(await device.pull(limit, 1_000))) throw new Error('a pull does not end')
  }
}

const documentsIn = (truth: Truth, scopes: readonly string[]): ReadonlyMap<string, object> =>
  new Map([...truth].filter(([, { scope }]) => scopes.includes(scope)).map(([key, { doc }]) => [key, doc]))

/** Names of fields have no order either. */
const sorted = (documents: ReadonlyMap<string, object>): unknown =>
  [...documents]
    .map(([key, doc]) => [key, Object.entries(doc).toSorted(byName)])
    .toSorted((a, b) => byName(a as [string, unknown], b as [string, unknown]))

const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1)
