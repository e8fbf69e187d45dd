import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateKey } from '@keelson/audit'
import { afterAll } from 'vitest'

const folder = mkdtempSync(join(tmpdir(), 'parcels-'))
afterAll(() => rm(folder, { recursive: true }))

/** What nodes of one database share beside it. A machine that is busy with other tests is no dead store. */
export const shared = {
  STORE_TIMEOUT: '10s' as const,
  DUPLICATE_WAIT: '60s' as const,
  WEBHOOK_KEY: Buffer.alloc(32, 1).toString('base64'),
  AUDIT_KEY: generateKey('parcels.example').signer,
  PRIVACY_KEY: Buffer.alloc(32, 2).toString('base64'),
  AUDIT_FILE: join(folder, 'audit.jsonl'),
  LOG_LEVEL: 'warn' as const,
}
