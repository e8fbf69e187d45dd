import { isUtf8 } from 'node:buffer'
import { hash } from 'node:crypto'
import { WebhookError } from '../error.ts'
import type { Verified } from './verifier.ts'

/** What a signature has proven. An `id` or `type` that is left out is read from the body when somebody asks. */
export interface Proven {
  readonly body: Uint8Array
  readonly secret: number
  readonly timestamp: Date | null
  readonly id?: string | null
  readonly type?: string | null
}

/** A message as handlers see it. */
export function verified(proven: Proven): Verified {
  return new Message(proven)
}

/** A class, since an object with getters of its own costs more than all else around a signature. */
class Message implements Verified {
  readonly timestamp: Date | null
  readonly body: Uint8Array
  readonly secret: number
  readonly #id: string | null | undefined
  readonly #type: string | null | undefined
  #parsed: { readonly value: unknown } | undefined

  constructor({ body, secret, timestamp, id, type }: Proven) {
    this.timestamp = timestamp
    this.body = body
    this.secret = secret
    this.#id = id
    this.#type = type
  }

  get id(): string | null {
    return this.#id === undefined ? this.#textOf('id') : this.#id
  }

  get type(): string | null {
    return this.#type === undefined ? this.#textOf('type') : this.#type
  }

  get dedupeKey(): string {
    return this.id ?? hash('sha256', this.body, 'hex')
  }

  json(): unknown {
    this.#parsed ??= { value: parse(this.body) }
    return this.#parsed.value
  }

  /** A member of the body, where the body is an object that has it. */
  #textOf(name: string): string | null {
    try {
      const value = (this.json() as Record<string, unknown> | null)?.[name]
      return typeof value === 'string' && value !== '' ? value : null
    } catch {
      return null
    }
  }
}

function parse(body: Uint8Array): unknown {
  try {
    if (!isUtf8(body)) throw new TypeError('bytes that are no UTF-8')
    // A TextDecoder that is fatal takes half as long again as the parsing.
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString())
  } catch (cause) {
    throw new WebhookError('PAYLOAD_NOT_JSON', 'the body is no JSON in UTF-8', { cause })
  }
}
