/** What a tab does in the tests of the IndexedDB store. One store a name and tab, as an app has it. */
import { indexedDbStore } from '@keelson/sync/client/indexeddb'
import type { ClientStore, StoreChange } from '@keelson/sync/client'

export { runCase } from './run-case.ts'

type Entries = (readonly [key: string, value: unknown])[]

const stores = new Map<string, { readonly store: ClientStore; readonly told: string[] }>()

function opened(name: string): { readonly store: ClientStore; readonly told: string[] } {
  let found = stores.get(name)
  if (found === undefined) {
    const told: string[] = []
    found = { store: indexedDbStore(name), told }
    found.store.watch!((keys) => told.push(...keys))
    stores.set(name, found)
  }
  return found
}

/** What is there; from then on this tab is told. */
export async function load(name: string): Promise<Entries> {
  return [...(await opened(name).store.load())]
}

export function told(name: string): string[] {
  return opened(name).told.slice()
}

export async function write(name: string, ...changes: StoreChange[]): Promise<void> {
  await opened(name).store.update([], () => changes)
}

export async function read(name: string, ...keys: string[]): Promise<unknown[]> {
  let seen: readonly unknown[] = []
  await opened(name).store.update(keys, (values) => {
    seen = values
    return []
  })
  return [...seen]
}

/** Adds 1 to `n` so many times, all at once, and writes a key of its own each time. */
export async function count(name: string, times: number, own: string): Promise<void> {
  const one = (i: number): Promise<void> =>
    opened(name).store.update(['n'], ([n]) => [
      ['n', ((n as number | undefined) ?? 0) + 1],
      [`${own}${i}`, i],
    ])
  await Promise.all(Array.from({ length: times }, (_, i) => one(i)))
}

/** Writes pairs of keys from `from` on, eight at once, until it is killed; says which have resolved. */
export function writePairs(name: string, from: number): void {
  let i = from
  const go = async (): Promise<void> => {
    for (;;) {
      const own = i++
      await opened(name).store.update([`left/${own - 8}`], () => [
        [`left/${own}`, { own, text: 'x'.repeat(own % 500) }],
        [`right/${own}`, { own, text: 'x'.repeat(own % 500) }],
      ])
      console.log(`resolved ${own}`)
    }
  }
  for (let workers = 0; workers < 8; workers++) void go()
}

/** Nothing that compresses. */
export async function writeMuch(name: string, characters: number): Promise<void> {
  const random = crypto.getRandomValues(new Uint8Array(65_536))
  const text = Array.from(random, (byte) => String.fromCharCode(33 + (byte % 90))).join('')
  await write(name, ['n', 'of what is refused'], ['much', text.repeat(Math.ceil(characters / text.length))])
}

/** This tab does nothing more behind the call that writes: it does not hear that it has. */
export function writeAndHang(name: string, ...changes: StoreChange[]): void {
  void opened(name).store.update(['n'], () => {
    queueMicrotask(() => {
      for (;;);
    })
    return changes
  })
}

/** Loads, and looks what the browser is asked for: the page does nothing else while it takes in one piece. */
export async function loadInPieces(name: string): Promise<{ loaded: number; largest: number }> {
  const { getAll } = IDBObjectStore.prototype
  let largest = 0
  IDBObjectStore.prototype.getAll = function (...args) {
    const request = getAll.apply(this, args)
    request.addEventListener('success', () => (largest = Math.max(largest, request.result.length)))
    return request
  }
  try {
    return { loaded: new Map(await load(name)).size, largest }
  } finally {
    IDBObjectStore.prototype.getAll = getAll
  }
}

/** Asks for so many updates and closes at once; how many have resolved when it is closed. */
export async function closeBehind(name: string, updates: number): Promise<number> {
  const { store } = opened(name)
  let resolved = 0
  for (let i = 0; i < updates; i++) void store.update([], () => [[`k/${i}`, i]]).then(() => resolved++)
  await store.close()
  stores.delete(name)
  return resolved
}

/** The second of two values is none of JSON, which no browser keeps. */
export async function writeHalfGood(name: string): Promise<void> {
  await write(name, ['good', 1], ['bad', () => {}])
}

/** What the browser was asked to do before a write has completed. */
export async function durabilityOfWrite(name: string): Promise<string> {
  const { transaction } = IDBDatabase.prototype
  let asked: Transaction | undefined
  IDBDatabase.prototype.transaction = function (...args) {
    return (asked = transaction.apply(this, args))
  }
  try {
    await write(name, ['a', 1])
    return asked!.durability
  } finally {
    IDBDatabase.prototype.transaction = transaction
  }
}

interface Request {
  readonly result: { close(): void }
  addEventListener(type: 'success' | 'error', listener: () => void): void
}

interface Reading {
  readonly result: unknown[]
  addEventListener(type: 'success', listener: () => void): void
}

interface Transaction {
  readonly durability: string
}

const { indexedDB, IDBDatabase, IDBObjectStore } = globalThis as unknown as {
  IDBDatabase: { prototype: { transaction(...args: unknown[]): Transaction } }
  indexedDB: { open(name: string, version: number): Request; deleteDatabase(name: string): Request }
  IDBObjectStore: { prototype: { getAll(...args: unknown[]): Reading } }
}

/** Resolves when all that had it open have given way. */
export function removeDatabase(name: string): Promise<void> {
  return ended(indexedDB.deleteDatabase(`keelson-sync:${name}`))
}

/** As a later version of the app would. */
export async function openLaterVersion(name: string): Promise<void> {
  const request = indexedDB.open(`keelson-sync:${name}`, 2)
  await ended(request)
  request.result.close()
}

function ended(request: Request): Promise<void> {
  return new Promise((resolve, reject) => {
    request.addEventListener('success', () => resolve())
    request.addEventListener('error', () => reject(new Error('refused')))
  })
}
