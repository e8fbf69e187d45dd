import { uuidv7 } from '@keelson/kernel'
import { createFileStore, type FileStoreParts } from '../../src/file/file-store.ts'
import type { AuditStore, Row } from '../../src/store.ts'
import { randomOf, simulatedDisk, type SimulatedDisk } from '../../../../tools/faults/simulated-disk.ts'

export const LOG = 'main'
export const SEGMENTS = '/audit/main/seg'

export function newDisk(seed = 7): SimulatedDisk {
  return simulatedDisk(randomOf(seed))
}

/** A store on a simulated disk; segments are small. */
export function openOn(disk: SimulatedDisk, more: Partial<FileStoreParts> = {}): AuditStore {
  return createFileStore({
    files: disk,
    dir: '/audit',
    durability: 'fsync',
    segmentBytes: 4096,
    maxBytes: 2 ** 30,
    timeoutMs: 60_000,
    lock: async () => async () => {},
    ...more,
  })
}

/** A row of the test's own documents; `keys` are refs in the scope 'acme'. */
export function newRow(facts: object = {}, keys: readonly string[] = []): Row {
  const id = uuidv7()
  return {
    id,
    bytes: Buffer.from(JSON.stringify({ id, ...facts })),
    keys: keys.map((ref) => ({ scope: 'acme', ref, wrapped: Buffer.from(`secret of ${ref} in ${id}`) })),
  }
}

export const rows = (count: number, facts: object = {}): Row[] => Array.from({ length: count }, () => newRow(facts))

/** Ids of all that is sealed, and whether their bytes are there. */
export async function sealedIn(store: AuditStore): Promise<{ ids: string[]; there: boolean[] }> {
  const read = await store.read(LOG, 0, { entries: 1e6, bytes: 1e12 })
  return { ids: read.map(({ leaf }) => leaf.id), there: read.map(({ bytes }) => bytes !== null) }
}
