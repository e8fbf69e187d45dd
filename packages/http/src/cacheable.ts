import type { EntryOptions, Key, KeyPart } from '@keelson/cache'
import { checkOptions, isScope, opt, type Duration } from '@keelson/kernel'
import { builtin } from './builtin.ts'
import { HttpError, optionFailure } from './error.ts'
import type { CachesLike } from './options.ts'

/** How the value of a method is cached. */
export interface CacheableRule {
  /** The tenant: fixed, or told from the arguments; `'public'` to share. */
  readonly scope: string | ((...args: any[]) => string)
  readonly ttl: Duration
  /** Default: the arguments, which must be JSON then. */
  readonly key?: (...args: any[]) => Key
  readonly tags?: (value: any, ...args: any[]) => readonly string[]
  /** The first part of the key, for `prefix(name)`; default `Class.method`. */
  readonly name?: string
}

type Method = (this: unknown, ...args: unknown[]) => Promise<unknown>

const SPEC = {
  scope: opt.required(
    opt.custom<CacheableRule['scope']>(
      'a scope of 1 to 128 bytes without control characters, or a function',
      (given) => typeof given === 'function' || isScope(given),
    ),
  ),
  ttl: opt.required(opt.duration(undefined, { min: 1 })),
  key: opt.fn<NonNullable<CacheableRule['key']>>(),
  tags: opt.fn<NonNullable<CacheableRule['tags']>>(),
  name: opt.string(),
}

/** Longer arguments are hashed. */
const MAX_BYTES = 160

/** A decorator of async methods. @throws HttpError OPTION_INVALID, naming Class.method */
export type CacheableDecorator = (
  rule: CacheableRule,
) => (on: object, name: string | symbol, method: TypedPropertyDescriptor<(...args: any[]) => Promise<any>>) => void

/**
 * Values of methods through the cache that a container injects at `token`, which is a property as well. A method rejects
 * with NOT_INJECTED where nothing did, with INPUT_INVALID for arguments that are no key, and with the cache's errors. For
 * adapters.
 */
export function cacheableBy(
  inject: (token: any) => (on: object, property: string | symbol) => void,
  token: any,
): CacheableDecorator {
  return (rule) => (on, name, method) => {
    inject(token)(on, token as symbol)
    const place = `${on.constructor.name}.${String(name)}`
    method.value = cached(place, rule, method.value, (self) => self[token])
  }
}

/** It inherits the metadata of the method. */
function cached(
  place: string,
  rule: CacheableRule,
  method: Method | undefined,
  cachesOf: (self: any) => CachesLike | undefined,
): Method {
  const { scope, ttl, key, tags, name = place } = checkOptions(place, rule, SPEC, optionFailure)
  if (typeof method !== 'function') throw optionFailure(`${place}: only a method can be cached, no accessor`)

  async function through(this: unknown, ...args: unknown[]): Promise<unknown> {
    const caches = cachesOf(this)
    if (caches === undefined) throw new HttpError('NOT_INJECTED', `${place}: its object was not made by the container`)
    const cache = caches.scope(typeof scope === 'function' ? scope(...args) : scope)
    const own = key === undefined ? [partOf(place, args)] : [key(...args)].flat<(Key | KeyPart)[]>()
    const options: EntryOptions = { ttl, ...(tags === undefined ? {} : { tags: (value) => tags(value, ...args) }) }
    return cache.getOrSet([name, ...own], () => method!.apply(this, args), options)
  }
  return Object.setPrototypeOf(through, method) as Method
}

/** Two lists of arguments never share it. */
function partOf(place: string, args: readonly unknown[]): string {
  const text = textOf(args)
  if (text === undefined) throw new HttpError('INPUT_INVALID', `${place}: its arguments are no JSON: give it a "key"`)
  return Buffer.byteLength(text) <= MAX_BYTES ? text : builtin.crypto.hash('sha256', text)
}

/** Undefined for what JSON does not carry, and for cycles, which it refuses itself. */
function textOf(args: readonly unknown[]): string | undefined {
  try {
    const text = JSON.stringify(args)
    return isJson(args) ? text : undefined
  } catch {
    return undefined
  }
}

function isJson(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value)
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true
  if (typeof value !== 'object') return false
  const isArray = Array.isArray(value)
  if (!isArray && Object.getPrototypeOf(value) !== Object.prototype) return false
  const members: unknown[] = Object.values(value)
  // Holes, symbols and what is not enumerable are not in the text.
  if (Reflect.ownKeys(value).length !== (isArray ? value.length + 1 : members.length)) return false
  return members.every(isJson)
}
