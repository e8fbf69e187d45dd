import { open } from 'node:fs/promises'
import { diskFiles, type File, type Files } from '@keelson/kernel/files'
import { AuditError } from '../error.ts'
import type { AuditStore } from '../store.ts'

/**
 * The files of this machine for somebody who only looks: opening a log repairs it, and here the repairs are forgotten.
 */
export const readOnlyFiles: Files = {
  async open(path, mode) {
    if (mode === 'new') return nowhere
    const handle = await open(path, 'r')
    return {
      ...nowhere,
      read: async (into, position) => (await handle.read(into, 0, into.length, position)).bytesRead,
      size: async () => (await handle.stat()).size,
      close: () => handle.close(),
    }
  },
  list: diskFiles.list,
  async rename() {},
  async unlink() {},
  async makeFolder() {},
  async syncFolder() {},
}

/** Takes all and keeps nothing. */
const nowhere: File = {
  read: async () => 0,
  write: async (bytes) => bytes.length,
  async datasync() {},
  async truncate() {},
  size: async () => 0,
  async close() {},
}

/** The methods that change something. */
const WRITING = [
  'append',
  'seal',
  'publish',
  'claim',
  'advance',
  'destroyKeys',
  'prune',
  'hold',
  'unhold',
  'drain',
] as const
const WRITING_DEAD = ['bury', 'unbury', 'remove'] as const

/** A store whose methods that write reject. */
export function forReading(store: AuditStore, dir: string): AuditStore {
  const refuse = async (): Promise<never> => {
    throw new AuditError('STORE_LOCKED', `${dir} was opened with "readOnly": nothing is written to it`)
  }
  const refusing = <K extends string>(names: readonly K[]): Record<K, typeof refuse> =>
    Object.fromEntries(names.map((name) => [name, refuse])) as Record<K, typeof refuse>
  return { ...store, ...refusing(WRITING), deadLetters: { ...store.deadLetters, ...refusing(WRITING_DEAD) } }
}
