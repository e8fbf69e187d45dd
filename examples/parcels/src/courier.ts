import { createSyncClient, type ClientCollection, type ClientEvents, type SyncClient } from '@keelson/sync/client'
import { fileStore } from '@keelson/sync/client/file'
import { join } from 'node:path'
import type { Parcel } from './domain/shipments.ts'

/** A courier's device: what it knows is in a folder, and its network comes and goes. */
export interface Courier {
  readonly device: SyncClient
  readonly parcels: ClientCollection<Parcel>
  /** What it was told that others hold by now. */
  readonly lost: ClientEvents['lost'][]
  isOnline: boolean
}

export function courier(
  name: string,
  { url, folder, correlation }: { readonly url: string; readonly folder: string; readonly correlation: string },
): Courier {
  const device = createSyncClient({
    url: `${url}/sync`,
    store: fileStore(join(folder, name)),
    collections: { parcel: {} },
    headers: () => ({ authorization: `Bearer ${name}`, 'x-correlation-id': correlation }),
    fetch: (...request) => (own.isOnline ? fetch(...request) : Promise.reject(new TypeError('no network'))),
  })
  const own: Courier = { device, parcels: device.collection<Parcel>('parcel'), lost: [], isOnline: true }
  device.on('lost', (lost) => void own.lost.push(lost))
  return own
}
