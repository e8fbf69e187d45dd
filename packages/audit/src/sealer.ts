import { traced, type Clock, type Logger } from '@keelson/kernel'
import { factsOf } from './entry/facts.ts'
import { formatCheckpoint } from './note/checkpoint.ts'
import { parseSigner } from './note/keys.ts'
import { signNote } from './note/note.ts'
import type { AuditStore, Delta, Facts, Head, Row } from './store.ts'
import { leafHashes } from './tree/hashing.ts'
import { appendLeaves, rootOf } from './tree/head.ts'

/** Puts entries into the tree and signs it. */
export interface Sealer {
  /** Seals once and signs what is not signed yet. True: there may be more. */
  step(): Promise<boolean>
  /** When this process saw the tree grow last, on the monotonic clock. */
  readonly grewMs: number
  readonly checkpointAt: number | null
}

/** What a sealer works with. */
export interface SealerParts {
  readonly log: string
  readonly store: AuditStore
  work<T>(fn: () => Promise<T>): Promise<T>
  /** Texts of the keys that sign, asked for at each checkpoint. */
  keys(): Promise<readonly string[]>
  /** Entries of one checkpoint, at most. */
  readonly every: number
  readonly clock: Clock
  readonly logger: Logger
}

export function createSealer(o: SealerParts): Sealer {
  const { log, store, work, every, clock, logger } = o
  let signed: number | undefined
  let size = -1
  let grewMs = clock.monotonic()
  let checkpointAt: number | null = null

  async function sign(): Promise<void> {
    signed ??= (await work(() => store.checkpoints(log, { last: true })))[0]?.size ?? 0
    const head = await work(() => store.head(log))
    if (head.size !== size) grewMs = clock.monotonic()
    size = head.size
    if (head.size <= signed) return
    const signers = (await o.keys()).map((text, i) => parseSigner(`createAudit: "key[${i}]"`, text))
    const text = formatCheckpoint({ origin: signers[0]!.name, size: head.size, root: rootOf(head) })
    await work(() => store.publish(log, { size: head.size, note: signNote(text, signers) }))
    signed = head.size
    checkpointAt = clock.now()
  }

  return {
    async step() {
      const sealed = await traced(
        'audit:seal',
        () => ({ log }),
        () => work(() => store.seal(log, every, fold)),
      )
      await sign().catch((error: unknown) => {
        // The tree stands without it; the next step signs.
        logger.error({ err: error }, 'audit.checkpoint_failed')
      })
      return sealed === every
    },
    get grewMs() {
      return grewMs
    },
    get checkpointAt() {
      return checkpointAt
    },
  }
}

/** What sealing these rows adds to a tree. Pure. */
export function fold(rows: readonly Row[], head: Head): Delta {
  const hashes = leafHashes(rows.map(({ bytes }) => bytes))
  const leaves = rows.map(({ id, bytes }, i) => ({ index: head.size + i, id, ...readFacts(bytes) }))
  const { head: grown, tiles } = appendLeaves(head, hashes)
  return { leaves, tiles, head: grown }
}

/** Bytes that nobody of us wrote must not stop the log; they are found by nothing but their index. */
const FOREIGN: Facts = {
  atMs: 0,
  scope: '?',
  actorType: null,
  actorId: null,
  action: '?',
  targetType: null,
  targetId: null,
  outcome: 'unknown',
  correlationId: null,
  refs: [],
}

function readFacts(bytes: Uint8Array): Facts {
  try {
    return factsOf(bytes)
  } catch {
    return FOREIGN
  }
}
