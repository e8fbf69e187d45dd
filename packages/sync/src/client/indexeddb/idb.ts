// The part of the browser that the store uses. Structural: who compiles for a server has no types of the DOM, and gets
// none from us.

interface Target<Type extends string, Event = unknown> {
  addEventListener(type: Type, listener: (event: Event) => void): void
}

interface Request<T, Type extends string = 'success'> extends Target<Type | 'success' | 'error'> {
  readonly result: T
  readonly error: unknown
}

export interface IdbDatabase extends Target<'versionchange'> {
  createObjectStore(name: string): unknown
  transaction(stores: string, mode: IdbMode, o: { durability: 'strict' }): IdbTransaction
  close(): void
}

export type IdbMode = 'readonly' | 'readwrite'

export interface IdbTransaction extends Target<'complete' | 'abort'> {
  readonly error: unknown
  objectStore(name: string): IdbEntries
  commit(): void
  abort(): void
}

export interface IdbEntries {
  get(key: string): Request<unknown>
  getAll(range: IdbRange | undefined, count: number): Request<unknown[]>
  getAllKeys(range: IdbRange | undefined, count: number): Request<string[]>
  put(value: unknown, key: string): unknown
  delete(key: string): unknown
}

interface IdbRange {
  readonly lower: unknown
}

export interface Channel extends Target<'message', Message> {
  removeEventListener(type: 'message', listener: (event: Message) => void): void
  postMessage(message: unknown): void
  close(): void
}

export interface Message {
  readonly data: unknown
}

/** What the browser has; a server, which may load this file, has not. */
export const browser: {
  readonly indexedDB: { open(name: string, version: number): Request<IdbDatabase, 'upgradeneeded'> }
  readonly IDBKeyRange: { lowerBound(key: string, open: boolean): IdbRange }
  readonly BroadcastChannel: new (name: string) => Channel
} = globalThis as never
