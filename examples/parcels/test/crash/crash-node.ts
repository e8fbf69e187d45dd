import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generateKey } from '@keelson/audit'
import type { CrashPlace } from '../../../../tools/crash/scenario.ts'
import type { Framework } from '../../src/environment.ts'
import { startNode } from '../../src/node.ts'
import { openSystem, type System } from '../../src/system.ts'
import { prepareCounting } from './counting.ts'
import { openMerchant, type Merchant } from './merchant.ts'
import { ask } from './requests.ts'

/** A node of parcels in this process. */
export interface CrashNode {
  readonly system: System
  readonly url: string
  /** The node of the process that opened first, which lives on. */
  readonly other: string
  /** Of that process only. */
  readonly merchant: Merchant | undefined
}

/** What the processes of a report share beside their stores. */
interface Shared {
  readonly AUDIT_KEY: string
  readonly other: string
}

/** As in production, but for a busy machine, which is no dead store, and a receiver on it. */
export async function openCrashNode(
  { databaseUrl, redisUrl, folder }: CrashPlace,
  FRAMEWORK: Framework,
  cache: 'Postgres' | 'Redis',
): Promise<CrashNode> {
  const file = join(folder, 'shared.json')
  const shared = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Shared) : undefined
  const AUDIT_KEY = shared?.AUDIT_KEY ?? generateKey('parcels.example').signer
  const system = await openSystem({
    DATABASE_URL: databaseUrl,
    ...(cache === 'Redis' ? { REDIS_URL: redisUrl } : {}),
    STORE_TIMEOUT: '30s',
    DUPLICATE_WAIT: '60s',
    BOOKINGS_PER_MINUTE: 1_000_000,
    WEBHOOK_KEY: Buffer.alloc(32, 1).toString('base64'),
    WEBHOOK_ALLOW: '127.0.0.1/32',
    PRIVACY_KEY: Buffer.alloc(32, 2).toString('base64'),
    AUDIT_KEY,
    AUDIT_FILE: join(folder, 'audit.jsonl'),
  })
  const { url } = await startNode(system, { PORT: 0, HOST: '127.0.0.1', FRAMEWORK })
  if (shared !== undefined) return { system, url, other: shared.other, merchant: undefined }

  await prepareCounting(system.db)
  const merchant = await openMerchant()
  // Attempts of the dead are repeated when their lease is over, 5 s later than this.
  const endpoint = JSON.stringify({ url: merchant.url, types: ['shipment.*'], timeout: '5s' })
  const { text } = await ask(url, 'POST', '/webhooks/endpoints', { body: endpoint })
  merchant.secret = (JSON.parse(text) as { secret: string }).secret
  writeFileSync(file, JSON.stringify({ AUDIT_KEY, other: url } satisfies Shared))
  return { system, url, other: url, merchant }
}
