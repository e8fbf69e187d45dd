import { KernelError, type Effect, type EffectContext, type Statement } from '@keelson/kernel'
import { effectStatements } from '@keelson/kernel/effects'
import type { KeptHint } from './answer.ts'
import { IdempotencyError } from './error.ts'
import { jsonCodec } from './json-codec.ts'
import type { Lease } from './lease.ts'

/** How far an earlier attempt has come. */
export interface Checkpoint {
  readonly name: string
  readonly data: unknown
}

/** What the work of `run()` may know and do. */
export interface Execution {
  /** 1 for the first run of the key; more when an earlier owner was lost. */
  readonly attempt: number
  /** Grows with each claim of the key: hand it to systems that refuse lower ones. 0 when unprotected. */
  readonly fence: bigint
  /** Aborts with LEASE_LOST when another caller may run the key: what is done from then on is done twice. */
  readonly signal: AbortSignal
  /** A UUID of this run. */
  readonly operationId: string
  /** The lease in ms. */
  readonly leaseMs: number
  /** What the last attempt saved last. */
  readonly checkpoint: Checkpoint | undefined
  /**
   * Saves how far this run has come, instead of what was saved before: durable when it resolves, and renews the lease.
   * `data` is JSON. Unprotected, nothing is saved.
   * Rejects with IdempotencyError LEASE_LOST, STORE_UNAVAILABLE, or INPUT_INVALID for what is no JSON or too large.
   */
  save(name: string, data?: unknown): Promise<void>
  /**
   * Adds effects that become true with the answer.
   * @throws KernelError EFFECT_INVALID; EFFECT_NOT_TRANSACTIONAL without a transactional store, unless `bestEffort`.
   */
  effect(...effects: Effect[]): void
  /** Marks an error as one before anything happened outside: `throw x.notStarted(error)` releases the key. */
  notStarted(error: Error): Error
}

/** What the core asks of an execution when its work has ended. */
export interface ExecutionEnd {
  readonly statements: readonly Statement[]
  readonly perform: readonly Effect[]
  readonly hints: readonly KeptHint[]
  readonly effects: readonly Effect[]
}

/** What an execution is made of. */
export interface ExecutionParts {
  readonly attempt: number
  readonly fence: bigint
  readonly leaseMs: number
  readonly ctx: EffectContext
  readonly checkpoint: Uint8Array | undefined
  /** Undefined when unprotected. */
  readonly lease: Lease | undefined
  readonly maxBytes: number
  readonly bestEffort: boolean
  /** The store commits statements with the answer. */
  readonly transactional: boolean
}

const NOTHING: ExecutionEnd = { statements: [], perform: [], hints: [], effects: [] }

/** An execution, and what the core asks of it. A class: one is made for each run, and few need all of it. */
export class RunningExecution implements Execution {
  readonly #parts: ExecutionParts
  #effects: readonly Effect[] = []
  #notStarted: Set<unknown> | undefined
  #unprotected: AbortSignal | undefined
  readonly attempt: number
  readonly fence: bigint
  readonly operationId: string
  readonly leaseMs: number
  readonly checkpoint: Checkpoint | undefined
  /** This attempt, or one before it, has saved how far it came. */
  hasCheckpoint: boolean

  constructor(parts: ExecutionParts) {
    const { checkpoint } = parts
    this.#parts = parts
    this.attempt = parts.attempt
    this.fence = parts.fence
    this.operationId = parts.ctx.operationId
    this.leaseMs = parts.leaseMs
    this.checkpoint = checkpoint === undefined ? undefined : (jsonCodec.decode(checkpoint) as Checkpoint)
    this.hasCheckpoint = checkpoint !== undefined
  }

  get signal(): AbortSignal {
    return this.#parts.lease?.signal ?? (this.#unprotected ??= new AbortController().signal)
  }

  // Bound, these three: works take them apart.

  readonly save = async (name: string, data?: unknown): Promise<void> => {
    const { lease, maxBytes } = this.#parts
    const bytes = checkpointBytes({ name, data }, maxBytes)
    if (lease === undefined) return
    this.hasCheckpoint = true
    await lease.renew(bytes)
  }

  readonly effect = (...more: Effect[]): void => {
    const all = [...this.#effects, ...more]
    // Refused now, before the work has done what cannot be taken back.
    this.#plan(all)
    this.#effects = all
  }

  readonly notStarted = (error: Error): Error => {
    ;(this.#notStarted ??= new Set()).add(error)
    return error
  }

  /** What is owed to the effects. */
  end(): ExecutionEnd {
    return this.#effects.length === 0 ? NOTHING : this.#plan(this.#effects)
  }

  /** The work said so of this error. */
  isNotStarted(error: unknown): boolean {
    return this.#notStarted?.has(error) === true
  }

  #plan(all: readonly Effect[]): ExecutionEnd {
    const { transactional, ctx, bestEffort } = this.#parts
    const usable = transactional ? all : all.map(withoutStatements)
    return { ...effectStatements(usable, ctx, { bestEffort }), effects: all }
  }
}

/** Without a shared database an effect can only be performed. */
function withoutStatements(effect: Effect): Effect {
  if (typeof effect !== 'object' || effect === null || effect.perform === undefined) {
    if (effect?.statements === undefined && effect?.combine === undefined) return effect
    throw new KernelError(
      'EFFECT_NOT_TRANSACTIONAL',
      `effect '${effect.kind}' needs a store that shares its database, such as postgresStore`,
    )
  }
  const { kind, afterCommit, replayHint } = effect
  return {
    kind,
    perform: effect.perform.bind(effect),
    ...(afterCommit === undefined ? {} : { afterCommit: afterCommit.bind(effect) }),
    ...(replayHint === undefined ? {} : { replayHint }),
  }
}

function checkpointBytes(checkpoint: Checkpoint, maxBytes: number): Uint8Array {
  if (typeof checkpoint.name !== 'string' || checkpoint.name === '') {
    throw new IdempotencyError('INPUT_INVALID', 'save(name, data): "name" must be a text')
  }
  let bytes: Uint8Array
  try {
    jsonCodec.encode(checkpoint.data) // a function as a member would only be left out
    bytes = jsonCodec.encode(checkpoint)
  } catch (cause) {
    throw new IdempotencyError('INPUT_INVALID', `save('${checkpoint.name}', data): "data" must be JSON`, { cause })
  }
  if (bytes.length <= maxBytes) return bytes
  throw new IdempotencyError(
    'INPUT_INVALID',
    `save('${checkpoint.name}', data): at most ${maxBytes} bytes (got ${bytes.length})`,
  )
}
