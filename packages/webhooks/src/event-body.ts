import { createHash } from 'node:crypto'
import type { StandardSchemaV1 } from '@keelson/kernel'
import { WebhookError } from './error.ts'
import type { EventKind } from './webhooks.ts'

/** The bytes of an event, and what tells it from another one. */
export interface EventBody {
  readonly body: Uint8Array
  /** What filters look at: the data as it is sent. */
  data(): unknown
  readonly digest: string
}

/**
 * `{"type","timestamp"[,"version"],"data"}`, serialised once. Validates by the type's schema.
 * @throws WebhookError SCHEMA_FAILED, SCHEMA_ASYNC, PAYLOAD_NOT_JSON, PAYLOAD_TOO_LARGE
 */
export function eventBody(o: {
  readonly type: string
  readonly kind: EventKind | undefined
  readonly data: unknown
  readonly nowMs: number
  readonly maxBytes: number
}): EventBody {
  const { type, kind, nowMs, maxBytes } = o
  const checked = kind?.schema === undefined ? o.data : validated(kind.schema, type, o.data)
  const data = kind?.thin === undefined ? checked : kind.thin(checked)
  const text = jsonOf(data, type)
  const version = kind?.version === undefined ? '' : `"version":${kind.version},`
  const head = `{"type":"${type}","timestamp":"${new Date(nowMs).toISOString()}",`
  const body = Buffer.from(`${head}${version}"data":${text}}`)
  if (body.length > maxBytes) {
    const limit = `"maxPayloadBytes" (${maxBytes})`
    throw new WebhookError('PAYLOAD_TOO_LARGE', `${type}: its body has ${body.length} bytes, more than ${limit}`)
  }
  const digest = createHash('sha256').update(`${type}\n${version}\n`).update(text).digest('hex')
  return { body, data: () => JSON.parse(text) as unknown, digest }
}

/** What a body says. */
export function readBody(body: Uint8Array): { timestamp: Date; version?: number; data: unknown } {
  const { timestamp, version, data } = JSON.parse(Buffer.from(body).toString()) as {
    timestamp: string
    version?: number
    data: unknown
  }
  return { timestamp: new Date(timestamp), ...(version === undefined ? {} : { version }), data }
}

function validated(schema: StandardSchemaV1, type: string, data: unknown): unknown {
  const result = schema['~standard'].validate(data)
  if (result instanceof Promise) {
    // Nobody waits for it: what it says must not become an unhandled rejection.
    result.catch(() => {})
    throw new WebhookError('SCHEMA_ASYNC', `${type}: its schema validates asynchronously; an event is checked at once`)
  }
  if (result.issues === undefined) return result.value
  const issue = result.issues[0]
  const path = issue?.path?.map((part) => String(typeof part === 'object' ? part.key : part)).join('.') ?? ''
  const at = path === '' ? '' : ` at "${path}"`
  throw new WebhookError('SCHEMA_FAILED', `${type}: ${issue?.message ?? 'refused by its schema'}${at}`, {
    details: { issues: result.issues },
  })
}

function jsonOf(data: unknown, type: string): string {
  const fault = faultOf(data, 'data', [])
  if (fault !== undefined) throw new WebhookError('PAYLOAD_NOT_JSON', `${type}: ${fault}`)
  return JSON.stringify(data)
}

const MAX_DEPTH = 200

/** What JSON would drop or refuse, and where; members that are undefined are left out as JSON does. */
function faultOf(given: unknown, path: string, above: readonly object[]): string | undefined {
  const value = ownJson(given)
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return undefined
    case 'number':
      return Number.isFinite(value) ? undefined : `${path} is ${value}`
    case 'object': {
      if (value === null) return undefined
      const kind = Object.prototype.toString.call(value).slice('[object '.length, -1)
      // JSON would leave nothing of a Promise, a Map or an Error, and write bytes as members.
      if (kind !== 'Object' && kind !== 'Array') return `${path} is a ${kind}`
      if (above.includes(value)) return `${path} is a cycle`
      if (above.length >= MAX_DEPTH) return `${path} is deeper than ${MAX_DEPTH} levels`
      const inner = [...above, value]
      for (const [name, member] of Object.entries(value)) {
        if (member === undefined && !Array.isArray(value)) continue
        const fault = faultOf(member, Array.isArray(value) ? `${path}[${name}]` : `${path}.${name}`, inner)
        if (fault !== undefined) return fault
      }
      return undefined
    }
    default:
      return `${path} is ${typeof value === 'undefined' ? 'undefined' : `a ${typeof value}`}`
  }
}

/** A Date and its like say themselves what they are in JSON. */
function ownJson(value: unknown): unknown {
  const own = (value as { toJSON?: unknown } | null | undefined)?.toJSON
  return typeof own === 'function' && typeof value === 'object' ? (own as () => unknown).call(value) : value
}
