import { hkdfSync, randomBytes } from 'node:crypto'
import {
  createAudit,
  generateKey,
  personal,
  type Audit,
  type AuditStore,
  type EntryInput,
  type Sink,
} from '@keelson/audit'
import { silentLogger, type Logger } from '@keelson/kernel'
import { elasticsearchSink } from '@keelson/audit/elasticsearch'
import { jsonlSink } from '@keelson/audit/jsonl'
import type { Shipment } from './domain/shipments.ts'
import type { Mover, Status } from './domain/status.ts'
import type { Environment } from './environment.ts'

/** What is done here, in the words of ECS; the log refuses others. */
const actions = {
  'shipment.create': { category: ['database'], type: ['creation'] },
  'shipment.update': { category: ['database'], type: ['change'] },
  'shipment.move': { category: ['database'], type: ['change'] },
  'shipment.conflict': { category: ['database'], type: ['change', 'denied'] },
  'shipment.delete': { category: ['database'], type: ['deletion'] },
  'webhooks.manage': { category: ['configuration'], type: ['change'] },
  'merchant.export': { category: ['database'], type: ['access'] },
  'ops.manage': { category: ['configuration'], type: ['change'] },
  'merchant.erase': { category: ['database'], type: ['deletion'] },
}
export type Action = keyof typeof actions

/** What belongs to no merchant is in the scope where `audited` routes have it too. */
export const HOUSE = 'keelson'

/** The log of who did what, signed with `AUDIT_KEY`. It is shipped to a file, or to Elasticsearch when that has a URL. */
export function openAudit(
  o: Pick<
    Environment,
    'AUDIT_KEY' | 'PRIVACY_KEY' | 'AUDIT_LOG' | 'AUDIT_FILE' | 'ELASTICSEARCH_URL' | 'STORE_TIMEOUT'
  >,
  store: AuditStore,
  logger: Logger = silentLogger,
): Audit {
  return createAudit({
    store,
    log: o.AUDIT_LOG,
    key: o.AUDIT_KEY ?? ephemeralSigner(),
    privacy: privacyOf(o.PRIVACY_KEY === undefined ? ephemeralSecret() : Buffer.from(o.PRIVACY_KEY, 'base64')),
    sinks: [sinkOf(o)],
    actions,
    strict: true,
    service: { name: 'parcels' },
    storeTimeout: o.STORE_TIMEOUT,
    logger,
  })
}

/** A booking. Addresses are the merchant's: they go when the merchant does. */
export function booked({ id, merchant, to, ...facts }: Shipment, ip: string | undefined): EntryInput {
  return {
    scope: merchant,
    action: 'shipment.create' satisfies Action,
    target: { type: 'shipment', id },
    where: { method: 'POST', route: '/shipments', ...(ip === undefined ? {} : { ip: personal(merchant, ip) }) },
    old: {},
    new: { ...facts, to: personal(merchant, to) },
  }
}

/** A shipment that was brought to another status. Who did it the request tells, of a carrier its signature. */
export function moved({ id, merchant, status }: Shipment, from: Status, by: Mover): EntryInput {
  return {
    scope: merchant,
    action: 'shipment.move' satisfies Action,
    ...(by === 'carrier' ? { actor: { type: 'carrier', id: 'carrier' } } : {}),
    target: { type: 'shipment', id },
    old: { status: from },
    new: { status },
  }
}

/** A shipment that its merchant has taken back. */
export function cancelled({ id, merchant, to, ...facts }: Shipment): EntryInput {
  return {
    scope: merchant,
    action: 'shipment.delete' satisfies Action,
    target: { type: 'shipment', id },
    old: { ...facts, to: personal(merchant, to) },
    new: {},
  }
}

function sinkOf({
  ELASTICSEARCH_URL: url,
  AUDIT_FILE: path,
}: Pick<Environment, 'ELASTICSEARCH_URL' | 'AUDIT_FILE'>): Sink {
  return url === undefined ? jsonlSink({ path }) : elasticsearchSink({ url })
}

/** One secret for two uses: neither tells the other. */
function privacyOf(key: Uint8Array): { secrets: string[]; pseudonym: string } {
  const derived = (use: string): string =>
    Buffer.from(hkdfSync('sha256', key, '', `parcels audit ${use}`, 32)).toString('base64')
  return { secrets: [derived('secret')], pseudonym: derived('pseudonym') }
}

function ephemeralSigner(): string {
  console.error('parcels: AUDIT_KEY is not set: the log is signed with a key that is lost with this process')
  return generateKey('parcels').signer
}

function ephemeralSecret(): Uint8Array {
  console.error('parcels: PRIVACY_KEY is not set: addresses in the audit log are lost with this process')
  return randomBytes(32)
}
