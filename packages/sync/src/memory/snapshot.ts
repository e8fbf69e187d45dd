import { SyncError } from '../error.ts'
import type { State } from './state.ts'

/** All transactions of an era up to `tx`: here none begins before another has ended. */
export interface Snapshot {
  readonly history: string
  readonly era: number
  readonly tx: number
}

export const formatSnapshot = ({ history, era, tx }: Snapshot): string => `${history}:${era}:${tx}`

/** @throws SyncError CURSOR_INVALID */
export function readSnapshot(text: string): Snapshot {
  const [, history, era, tx] = /^([0-9a-f-]{36}):(\d{1,15}):(\d{1,15})$/.exec(text) ?? []
  if (tx === undefined) throw new SyncError('CURSOR_INVALID', 'the cursor names no snapshot')
  return { history: history!, era: Number(era), tx: Number(tx) }
}

export const isOfEra = (state: State, { history, era }: Snapshot): boolean =>
  history === state.history && era === state.era
