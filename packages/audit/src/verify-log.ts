import type { Logger } from '@keelson/kernel'
import { isKeelsonError, traced } from '@keelson/kernel'
import type { Problem, ProblemCode, Verdict } from './audit.ts'
import { readDocument } from './entry/document.ts'
import { factsOf } from './entry/facts.ts'
import { parseSigner, verifierText } from './note/keys.ts'
import type { AuditStore, Checkpoint, Facts, Leaf, SealedRow } from './store.ts'
import { rootOf } from './tree/head.ts'
import { rootAt } from './tree/proofs.ts'
import { createTreeCheck, type TreeFault } from './tree/tree-check.ts'
import type { ReadTiles } from './tree/tile.ts'
import { openTree, verifiersOf } from './verify/open-checkpoint.ts'

const STEP = 2_000
const STEP_BYTES = 16 * 1024 * 1024
const CHECKPOINTS = 500
/** More than what stands before the id of an entry. */
const BEGIN_BYTES = 200
/** More of them tell nothing new. */
const MAX_PROBLEMS = 1_000

/** Reads and hashes a whole log again. */
export async function verifyLog(o: {
  readonly log: string
  readonly store: AuditStore
  work<T>(fn: () => Promise<T>): Promise<T>
  readonly readTiles: ReadTiles
  keys(): Promise<readonly string[]>
  /** Undefined: those of the keys that sign now. */
  readonly verifiers: readonly string[] | undefined
  /** Checkpoints that were kept elsewhere. */
  readonly against: readonly string[]
  readonly logger: Logger
}): Promise<Verdict> {
  const { log, store, work, readTiles } = o
  const problems: Problem[] = []
  let isComplete = true

  function problem(code: ProblemCode, detail: string, at: { index?: number; id?: string } = {}): void {
    if (problems.length < MAX_PROBLEMS) problems.push({ code, ...at, detail })
  }

  const texts = o.verifiers ?? (await o.keys()).map((text) => verifierText(parseSigner('verify: "key"', text)))
  const known = verifiersOf('verify', texts)
  const head = await work(() => store.head(log))
  const { size } = head
  const root = rootOf(head)
  // The log goes on meanwhile: entries are sealed behind what is read here, and old ones are dropped.
  let { pruned } = head
  let grownTo = size

  async function lookAgain(): Promise<void> {
    const now = await work(() => store.head(log))
    pruned = Math.max(pruned, now.pruned)
    grownTo = Math.max(grownTo, now.size)
  }

  /** What a checkpoint says of this tree, if it is one of ours at all. */
  async function checkNote({ note, size: said }: Partial<Checkpoint> & { note: string }): Promise<void> {
    const kept = said === undefined ? 'elsewhere' : 'here'
    let opened
    try {
      opened = openTree(note, known)
    } catch (error) {
      if (!isKeelsonError(error)) throw error
      const isUnknown = error.message.includes('none of the given keys')
      problem(isUnknown ? 'KEY_UNKNOWN' : 'CHECKPOINT_INVALID', error.message)
      if (kept === 'elsewhere') isComplete = false
      return
    }
    if (said !== undefined && said !== opened.size) {
      problem('CHECKPOINT_INVALID', `what stands as the checkpoint of ${said} entries is that of ${opened.size}`)
    }
    if (opened.size > grownTo) await lookAgain()
    if (opened.size > grownTo) {
      isComplete = false
      problem('TRUNCATED', `a checkpoint was signed at ${opened.size} entries, and the log has ${grownTo}`, {
        index: grownTo,
      })
      return
    }
    const now = await rootAt(opened.size, readTiles).catch(() => undefined)
    if (now !== undefined && opened.root.equals(now)) return
    if (kept === 'elsewhere') isComplete = false
    problem('HISTORY_REWRITTEN', `the tree of ${opened.size} entries is not the one that was signed`)
  }

  function blame(fault: TreeFault): void {
    if (fault.kind === 'tile') {
      problem('TILE_ALTERED', `tile ${fault.level}/${fault.index} is not what is below it`)
    } else if (fault.kind === 'span') {
      problem('ENTRY_ALTERED', `one of the entries ${fault.from} to ${fault.to - 1} was changed with its tiles`, {
        index: fault.from,
      })
    } else problem('ENTRY_ALTERED', 'its bytes are not the sealed ones', { index: fault.index })
  }

  let gaps = 0
  let lost = 0

  /** What its bytes say against what it is found by. */
  function checkFacts({ leaf, bytes }: SealedRow): void {
    if (bytes === null) return
    let facts: Facts & { readonly id: string }
    try {
      facts = { ...factsOf(bytes), id: idIn(bytes) }
      if (facts.action === 'audit.gap') {
        gaps++
        const count = readDocument(bytes).audit.data?.['count']
        lost += typeof count === 'number' ? count : 0
      }
    } catch {
      return
    }
    const differs = factNames.find((name) => !isSame(facts[name], leaf[name]))
    if (differs !== undefined)
      problem('INDEX_ALTERED', `its ${differs} is not what its bytes say`, { index: leaf.index, id: leaf.id })
  }

  async function readAll(): Promise<Uint8Array> {
    const check = createTreeCheck({ size, root, readTiles, report: blame })
    let next = 0
    while (next < size) {
      const from = next
      const rows = await work(() => store.read(log, from, { entries: Math.min(STEP, size - from), bytes: STEP_BYTES }))
      const byIndex = new Map(rows.map((row) => [row.leaf.index, row]))
      const until = rows.length === 0 ? Math.min(size, from + STEP) : Math.min(size, rows.at(-1)!.leaf.index + 1)
      const bytes: (Uint8Array | null)[] = []
      for (let index = from; index < until; index++) {
        const row = byIndex.get(index)
        bytes.push(row?.bytes ?? null)
        if (row?.bytes === null && index >= pruned) await lookAgain()
        if (row === undefined || (row.bytes === null && index >= pruned)) {
          problem('ENTRY_MISSING', 'it was sealed, and is not there', { index, ...idOf(row?.leaf) })
        } else checkFacts(row)
      }
      await check.add(bytes)
      next = until
    }
    return check.end()
  }

  async function findAdded(): Promise<void> {
    const rows = await work(() => store.read(log, size, { entries: STEP, bytes: STEP_BYTES }))
    if (rows.length > 0) await lookAgain()
    for (const { leaf } of rows.filter((row) => row.leaf.index >= grownTo)) {
      problem('ENTRY_ADDED', 'it stands beyond the end of the tree', { index: leaf.index, id: leaf.id })
    }
  }

  async function checkOwn(): Promise<void> {
    let from = 0
    for (;;) {
      const since = from
      const notes = await work(() => store.checkpoints(log, { from: since, limit: CHECKPOINTS }))
      for (const note of notes) await checkNote(note)
      if (notes.length < CHECKPOINTS) return
      from = notes.at(-1)!.size + 1
    }
  }

  await traced(
    'audit:verify',
    () => ({ log, size }),
    async () => {
      const found = await readAll()
      if (!Buffer.from(found).equals(root) && problems.length === 0) {
        problem('TILE_ALTERED', 'the head of the tree is not what is below it')
      }
      await findAdded()
      await checkOwn()
      for (const note of o.against) await checkNote({ note })
    },
  )
  const ok = problems.length === 0
  if (!ok) o.logger.error({ log, problems: problems.length, first: problems[0] }, 'audit.verify.failed')
  return {
    ok,
    size,
    root: Buffer.from(root).toString('base64'),
    integrity: ok ? 'ok' : 'broken',
    completeness: !isComplete ? 'broken' : o.against.length === 0 ? 'unwitnessed' : 'ok',
    coverage: { gaps, lost, pruned },
    problems,
  }
}

const factNames = [
  'id',
  'atMs',
  'scope',
  'actorType',
  'actorId',
  'action',
  'targetType',
  'targetId',
  'outcome',
  'correlationId',
  'refs',
] as const satisfies readonly (keyof Leaf)[]

function isSame(a: unknown, b: unknown): boolean {
  return Array.isArray(a) && Array.isArray(b) ? a.length === b.length && a.every((one, i) => one === b[i]) : a === b
}

/** Each entry begins with it; of others it is read as a document's. */
function idIn(bytes: Uint8Array): string {
  const begin = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, BEGIN_BYTES)).toString('latin1')
  return (
    /^\{"@timestamp":"[^"]*","ecs":\{"version":"[^"]*"\},"event":\{"id":"([^"\\]*)"/.exec(begin)?.[1] ??
    readDocument(bytes).event.id
  )
}

function idOf(leaf: Leaf | undefined): { id?: string } {
  return leaf === undefined ? {} : { id: leaf.id }
}
