import { KernelError, type Effect, type EffectContext, type Statement } from '@keelson/kernel'
import { effectStatements } from '@keelson/kernel/postgres'
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
interface ExecutionEnd {
  readonly statements: readonly Statement[]
  readonly perform: readonly Effect[]
  readonly effects: readonly Effect[]
}

/** An execution, and what the core keeps of it. */
export interface RunningExecution {
  readonly x: Execution
  end(): ExecutionEnd
  isNotStarted(error: unknown): boolean
  /** This attempt, or one before it, has saved how far it came. */
  readonly hasCheckpoint: boolean
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

export function createExecution(parts: ExecutionParts): RunningExecution {
  const { lease, ctx, bestEffort, transactional, maxBytes } = parts
  const effects: Effect[] = []
  const notStarted = new WeakSet<Error>()
  let hasCheckpoint = parts.checkpoint !== undefined

  function plan(all: readonly Effect[]): ExecutionEnd {
    const usable = transactional ? all : all.map(withoutStatements)
    const { statements, perform } = effectStatements(usable, ctx, { bestEffort })
    return { statements, perform, effects: all }
  }

  const x: Execution = {
    attempt: parts.attempt,
    fence: parts.fence,
    signal: lease?.signal ?? new AbortController().signal,
    operationId: ctx.operationId,
    leaseMs: parts.leaseMs,
    checkpoint: parts.checkpoint === undefined ? undefined : (jsonCodec.decode(parts.checkpoint) as Checkpoint),
    async save(name, data) {
      const bytes = checkpointBytes({ name, data }, maxBytes)
      if (lease === undefined) return
      hasCheckpoint = true
      await lease.renew(bytes)
    },
    effect(...more) {
      // Refused now, before the work has done what cannot be taken back.
      plan([...effects, ...more])
      effects.push(...more)
    },
    notStarted(error) {
      notStarted.add(error)
      return error
    },
  }
  return {
    x,
    end: () => plan(effects),
    get hasCheckpoint() {
      return hasCheckpoint
    },
    isNotStarted: (error) => error instanceof Error && notStarted.has(error),
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
