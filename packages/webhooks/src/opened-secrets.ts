import type { Clock } from '@keelson/kernel'
import type { Encryption } from './encryption.ts'
import { WebhookError } from './error.ts'
import type { SealedSecret } from './store.ts'

/** The secrets of endpoints, decrypted when they are needed. */
export interface OpenedSecrets {
  /** Those that are open already: the same list each time. */
  known(of: Owner, sealed: readonly SealedSecret[]): readonly string[] | undefined
  /** @throws WebhookError DECRYPT_FAILED, also when it takes longer than `limitMs` */
  open(of: Owner, sealed: readonly SealedSecret[], limitMs: number): Promise<readonly string[]>
}

/** An endpoint, such as the token of a claim has it. */
interface Owner {
  readonly scope: string
  readonly endpoint: string
}

interface Kept {
  readonly scope: string
  readonly sealed: readonly SealedSecret[]
  readonly texts: readonly string[]
  readonly untilMs: number
}

const MAX_OWNERS = 1_000
/** A key service is not asked for each attempt; a key that it withdraws signs no longer than this. */
const KEPT_MS = 60_000

export function createOpenedSecrets(encryption: Encryption, clock: Clock): OpenedSecrets {
  /** By endpoint: two tenants with one id only keep each other from being remembered. */
  const owners = new Map<string, Kept>()

  /** A key service that never answers holds no slot for ever. */
  async function inTime<T>(opening: Promise<T>, limitMs: number, owner: string): Promise<T> {
    let timer: { cancel(): void } | undefined
    const late = new Promise<never>((_, reject) => {
      const error = new WebhookError('DECRYPT_FAILED', `the secret of ${owner} was not decrypted in ${limitMs} ms`)
      timer = clock.timer(() => reject(error), limitMs)
    })
    return Promise.race([opening, late]).finally(() => timer?.cancel())
  }

  return {
    known({ scope, endpoint }, sealed) {
      const kept = owners.get(endpoint)
      if (kept === undefined || kept.scope !== scope || kept.untilMs <= clock.monotonic()) return undefined
      return same(kept.sealed, sealed) ? kept.texts : undefined
    },
    async open({ scope, endpoint }, sealed, limitMs) {
      const owner = secretOwner(scope, endpoint)
      const opening = Promise.all(sealed.map((one) => encryption.open(one.sealed, owner)))
      const texts = await inTime(opening, limitMs, owner)
      owners.delete(endpoint)
      owners.set(endpoint, { scope, sealed, texts, untilMs: clock.monotonic() + KEPT_MS })
      if (owners.size > MAX_OWNERS) owners.delete(owners.keys().next().value!)
      return texts
    },
  }
}

function same(kept: readonly SealedSecret[], sealed: readonly SealedSecret[]): boolean {
  if (kept === sealed) return true
  return kept.length === sealed.length && kept.every((one, i) => Buffer.compare(one.sealed, sealed[i]!.sealed) === 0)
}

/** Whom an endpoint's secret is sealed for. */
export const secretOwner = (scope: string, endpoint: string): string => `${scope}/${endpoint}`
