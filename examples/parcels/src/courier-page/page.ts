import { createSyncClient } from '@keelson/sync/client'
import { indexedDbStore } from '@keelson/sync/client/indexeddb'
import type { Parcel } from '../domain/shipments.ts'
import { document, location, navigator, type Element } from './browser.ts'

/** A courier's parcels. All that is shown is on this device; who it belongs to says `?as=c1`, a test double of signing in. */
const courier = new URLSearchParams(location.search).get('as') ?? 'c1'
const device = createSyncClient({
  url: '/sync',
  store: indexedDbStore(courier),
  collections: { parcel: {} },
  headers: () => ({ authorization: `Bearer ${courier}` }),
  live: true,
  retry: { max: '5s' },
})
const parcels = device.collection<Parcel>('parcel')
const notes = new Map<string, Element>()

/** A line of the list; its note is kept on the device as soon as it is written. */
function lineOf(id: string, { to }: Parcel): Element {
  const [line, label, note] = [
    document.createElement('li'),
    document.createElement('label'),
    document.createElement('input'),
  ]
  note.ariaLabel = `Note for ${to}`
  note.addEventListener('change', () => parcels.patch(id, { note: note.value }))
  label.append(`${to} `, note)
  line.append(label)
  notes.set(id, note)
  return line
}

const lines = new Map<string, Element>()

async function showParcels(): Promise<void> {
  const all = await parcels.all()
  for (const { id, doc } of all) {
    if (!lines.has(id)) lines.set(id, lineOf(id, doc))
    const note = notes.get(id)!
    // Nobody's words change while they write them.
    if (document.activeElement !== note) note.value = doc.note ?? ''
  }
  document.querySelector('#parcels').replaceChildren(...all.map(({ id }) => lines.get(id)!))
}

function showStatus(): void {
  document.querySelector('#pending').textContent = String(device.pending().count)
  document.querySelector('#state').textContent = device.status().state
  document.querySelector('#issues').replaceChildren(
    ...device.issues().map(({ id, code, discard }) => {
      const [line, button] = [document.createElement('li'), document.createElement('button')]
      button.textContent = 'Discard'
      button.addEventListener('click', () => discard().then(showStatus))
      line.append(`Parcel ${id}: ${code} `, button)
      return line
    }),
  )
}

parcels.watch(() => {
  showStatus()
  void showParcels()
})
device.on('status', showStatus)
device.on('progress', showStatus)
device.on('issue', showStatus)
void navigator.serviceWorker.register('/courier/worker.js')
void device.start().then(showParcels)
