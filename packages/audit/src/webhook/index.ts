import { createHmac, createSecretKey, type KeyObject } from 'node:crypto'
import { opt } from '@keelson/kernel'
import { withSeal } from '../entry/seal-member.ts'
import { post, refused } from '../sinks/post.ts'
import { checkSinkOptions, HTTP, type HttpSinkOptions } from '../sinks/sink-options.ts'
import type { Batch, Outcome, Sink } from '../sink.ts'

/** What `webhookSink` takes. */
export interface WebhookSinkOptions extends HttpSinkOptions {
  /** 'whsec_' and base64 of 24 to 64 bytes. */
  readonly secret: string
}

const SPEC = { ...HTTP, secret: opt.required(opt.custom<string>("'whsec_' and base64 of 24 to 64 bytes", isSecret)) }

/**
 * Batches as signed webhooks (standardwebhooks.com): `{ "log", "entries": [...] }` under the id `log:first-last`, by
 * which a receiver drops what it has.
 */
export function webhookSink(options: WebhookSinkOptions): Sink {
  const { base, own } = checkSinkOptions('webhookSink', 'webhook', options, SPEC)
  const url = new URL(own.url)
  const key = createSecretKey(keyOf(own.secret))

  return {
    ...base,
    ordered: true,
    async deliver(batch, signal): Promise<readonly Outcome[]> {
      const { entries, log } = batch
      const body = bodyOf(batch)
      const id = `${log}:${entries[0]!.index}-${entries.at(-1)!.index}`
      const answer = await post({ url, headers: signed(id, body, key), body, signal, fetch: own.fetch })
      if (answer.kind === 'halt') return entries.map(() => ({ halt: answer.reason }))
      if (answer.status === 400) throw refused(`${url.host} answered 400: ${answer.text}`)
      return entries.map(() => 'ok')
    },
  }
}

function signed(id: string, body: Uint8Array, key: KeyObject): Record<string, string> {
  const timestamp = Math.floor(Date.now() / 1_000)
  const mac = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64')
  return {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': String(timestamp),
    'webhook-signature': `v1,${mac}`,
  }
}

function bodyOf({ log, entries }: Batch): Uint8Array {
  const parts: Uint8Array[] = [Buffer.from(`{"log":${JSON.stringify(log)},"entries":[`)]
  for (const [i, { bytes, index, leaf }] of entries.entries()) {
    if (i > 0) parts.push(Buffer.from(','))
    parts.push(withSeal(bytes, { log, index, leaf }))
  }
  return Buffer.concat([...parts, Buffer.from(']}')])
}

const keyOf = (secret: string): Buffer => Buffer.from(secret.slice('whsec_'.length), 'base64')

function isSecret(given: unknown): boolean {
  if (typeof given !== 'string' || !/^whsec_[A-Za-z0-9+/]+={0,2}$/.test(given)) return false
  const { length } = keyOf(given)
  return length >= 24 && length <= 64
}
