import type { Duration } from '@keelson/kernel'
import type { SigningScheme } from './signing/sign.ts'

/** How an endpoint is treated; durations as ms or '5s'. */
export interface EndpointDefaults {
  /** Attempts at once, over all nodes; default 4. It begins with one and grows with fast answers. */
  readonly concurrency?: number
  /** `limit` attempts per time: so many at once, then evenly; none by default. */
  readonly rate?: { readonly limit: number; readonly per: Duration }
  /** Of one attempt; default `network.timeout` (15 s), at most 60 s. */
  readonly timeout?: Duration
  /**
   * The pause before each attempt, the first one too: 1 to 50 steps. Default 0, 5 s, 5 m, 30 m, 2 h, 5 h, 10 h, 14 h,
   * 20 h, 24 h. `jitter` (0.2) adds at most that part.
   */
  readonly retry?: { readonly schedule: readonly Duration[]; readonly jitter?: number }
  /** Opens after `failures` (10) in a row, for `cooldown` (30 s), doubled up to 10 m. */
  readonly breaker?: { readonly failures?: number; readonly cooldown?: Duration } | false
  /** Disabled when all has failed for so long; default 5 d. */
  readonly disableAfter?: Duration | false
  /** Default ['v1']. */
  readonly signing?: readonly SigningScheme[]
}

/** What an endpoint is made of. */
export interface EndpointInput extends EndpointDefaults {
  /** http or https (https only by default), without credentials and fragment, at most 2048 characters. */
  readonly url: string
  /** Patterns: `*` is one segment, a `**` at the end the rest; default ['**']. */
  readonly types?: readonly string[]
  /** Without: all events, with or without a channel. */
  readonly channels?: readonly string[]
  /** Dot path into the data -> the values that it may have there; all must hold. */
  readonly filter?: Readonly<Record<string, readonly (string | number | boolean | null)[]>>
  /** Sent with each attempt. */
  readonly headers?: Readonly<Record<string, string>>
  /** `whsec_…` or `whsk_…`; a new one by default. */
  readonly secret?: string
  readonly description?: string
  readonly metadata?: Readonly<Record<string, string>>
}

/** What of an endpoint is changed; null goes back to the default. */
export type EndpointChange = {
  readonly [K in keyof Omit<EndpointInput, 'secret'>]?: EndpointInput[K] | (K extends 'url' ? never : null) | undefined
}

/** Only active ones are called; deliveries to the others wait. */
export type EndpointState = 'active' | 'paused' | 'disabled'

/** An endpoint as it is; settings are those that hold now, durations in ms. */
export interface Endpoint {
  /** 'ep_…', or 'fn:<name>' for a handler. */
  readonly id: string
  readonly scope: string
  readonly url: string
  readonly state: EndpointState
  /** 'gone', 'failing', or what `disable` was told. */
  readonly disabledReason: string | null
  /** Grows with each change. */
  readonly revision: number
  readonly createdAt: Date
  readonly updatedAt: Date
  readonly health: {
    readonly breaker: 'closed' | 'open' | 'half-open'
    readonly failingSince: Date | null
    /** Attempts at once that it is allowed now. */
    readonly limit: number
    readonly blockedUntil: Date | null
  }
  readonly types: readonly string[]
  readonly channels: readonly string[] | null
  readonly filter: Readonly<Record<string, readonly (string | number | boolean | null)[]>> | null
  readonly headers: Readonly<Record<string, string>>
  readonly description: string | null
  readonly metadata: Readonly<Record<string, string>>
  readonly concurrency: number
  readonly rate: { readonly limit: number; readonly per: number } | null
  readonly timeout: number
  readonly retry: { readonly schedule: readonly number[]; readonly jitter: number }
  readonly breaker: { readonly failures: number; readonly cooldown: number } | false
  readonly disableAfter: number | false
  readonly signing: readonly SigningScheme[]
}
