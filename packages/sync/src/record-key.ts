import type { RecordKey } from './store.ts'

/** One text for one key: neither a collection nor an id has a blank. */
export const keyText = ({ scope, c, id }: RecordKey): string => `${c} ${id} ${scope}`
