import { keyText } from '../record-key.ts'
import { serverChanged } from '../server-change.ts'
import type { Stamp } from '../stamp.ts'
import type { ServerChange } from '../store.ts'
import { commit, find, type State, type Write } from './state.ts'

/** One transaction; each sees what those before it made. */
export function change(state: State, changes: readonly ServerChange[], node: string): readonly (Stamp | null)[] {
  const writes = new Map<string, Write>()
  const nowMs = state.now()
  const stamps = changes.map((one) => {
    const held = (key: Parameters<typeof keyText>[0]) => writes.get(keyText(key))?.record ?? find(state, key)?.record
    // Values are the caller's, who may go on with them.
    const made = serverChanged({ ...one, set: structuredClone(one.set) }, held, nowMs, node)
    if (made === null) return null
    const subject = one.subject ?? writes.get(keyText(one))?.subject ?? find(state, one)?.subject
    for (const record of made.records) writes.set(keyText(record), { record, subject })
    return made.stamp
  })
  commit(state, [...writes.values()])
  return stamps
}
