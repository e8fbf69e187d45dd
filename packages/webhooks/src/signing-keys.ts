import { randomBytes } from 'node:crypto'
import type { Clock } from '@keelson/kernel'
import type { Encryption } from './encryption.ts'
import { WebhookError } from './error.ts'
import { isName } from './endpoint-config.ts'
import { keyId } from './ids.ts'
import { checkDuration, checkMembers, checkName, checkScope, inputFailure } from './input.ts'
import type { KeyRow, WebhookStore } from './store.ts'
import type { SigningKeys } from './webhooks.ts'

const DAY_MS = 24 * 60 * 60 * 1_000
const MAX_LIFE_MS = 3_650 * DAY_MS
const SECRET_BYTES = 32

/** What the keys of an application's users are managed with. */
export interface SigningKeyParts {
  readonly store: Pick<WebhookStore, 'signingKeys'>
  call<T>(fn: () => Promise<T>): Promise<T>
  readonly encryption: Encryption
  readonly clock: Clock
}

export function createSigningKeys({ store, call, encryption, clock }: SigningKeyParts): SigningKeys {
  async function issue(scope: string, principal: string, expiresInMs: number | null) {
    const id = keyId()
    const secret = randomBytes(SECRET_BYTES).toString('base64url')
    const sealed = await encryption.seal(secret, ownerOf(scope, id))
    await call(() => store.signingKeys.insert({ keyId: id, scope, principal, sealed }, expiresInMs))
    return { keyId: id, secret }
  }

  /** A key of this scope that is still valid. */
  async function read(owner: string, scope: string, id: string): Promise<KeyRow> {
    checkScope(owner, scope)
    const row = isName(id) ? await call(() => store.signingKeys.get(id)) : null
    if (row === null || row.scope !== scope || ended(row)) {
      throw new WebhookError('NOT_FOUND', `${owner}: there is no such key in this scope`)
    }
    return row
  }

  const ended = ({ expiresAtMs }: KeyRow): boolean => expiresAtMs !== null && expiresAtMs <= clock.now()

  return {
    async create(i) {
      const owner = 'signingKeys.create'
      checkMembers(owner, i, ['scope', 'principal', 'expiresIn'])
      checkScope(owner, i.scope)
      if (!isName(i.principal)) throw inputFailure(`${owner}: "principal" must be a text of 1 to 256 characters`)
      const lifeMs = i.expiresIn === undefined ? null : checkDuration(owner, 'expiresIn', i.expiresIn, MAX_LIFE_MS)
      return issue(i.scope, i.principal, lifeMs)
    },

    async rotate(i) {
      const owner = 'signingKeys.rotate'
      checkMembers(owner, i, ['scope', 'keyId', 'overlap'])
      const overlapMs = checkDuration(owner, 'overlap', i.overlap ?? DAY_MS, MAX_LIFE_MS)
      const { principal, expiresAtMs } = await read(owner, i.scope, i.keyId)
      const leftMs = expiresAtMs === null ? null : Math.ceil(expiresAtMs - clock.now())
      const made = await issue(i.scope, principal, leftMs)
      await call(() => store.signingKeys.expire(i.scope, i.keyId, overlapMs))
      return made
    },

    async revoke(i) {
      const owner = 'signingKeys.revoke'
      checkMembers(owner, i, ['scope', 'keyId'])
      await read(owner, i.scope, i.keyId)
      await call(() => store.signingKeys.expire(i.scope, i.keyId, 0))
    },

    async list(q) {
      const owner = 'signingKeys.list'
      checkMembers(owner, q, ['scope', 'principal'])
      checkScope(owner, q.scope)
      checkName(owner, 'principal', q.principal)
      const rows = await call(() => store.signingKeys.list(q.scope, q.principal))
      return rows.map((row) => ({
        keyId: row.keyId,
        principal: row.principal,
        createdAt: new Date(row.createdAtMs),
        expiresAt: row.expiresAtMs === null ? null : new Date(row.expiresAtMs),
      }))
    },

    async resolve(id) {
      if (!isName(id)) return null
      const row = await call(() => store.signingKeys.get(id))
      if (row === null || ended(row)) return null
      const key = await encryption.open(row.sealed, ownerOf(row.scope, id))
      return { alg: 'hmac-sha256', key, scope: row.scope, principal: row.principal }
    },
  }
}

/** Whom a key is sealed for. */
const ownerOf = (scope: string, id: string): string => `${scope}/key/${id}`
