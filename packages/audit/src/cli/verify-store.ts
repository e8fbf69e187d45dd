import { isKeelsonError } from '@keelson/kernel'
import { openCheckpoint } from '../verify/index.ts'
import { Failure } from './failure.ts'
import type { Checked, Witnesses } from './found.ts'
import { openAudit } from './open-audit.ts'
import type { StorePlace } from './place.ts'

/** A log with all that its store knows of it. @throws Failure for a log that is not there */
export async function verifyStore(place: StorePlace, { keys, against }: Witnesses): Promise<Checked> {
  await using log = await openAudit(place, { write: false })
  const verdict = await log.audit.verify({ keys, against })
  if (!verdict.ok) return { found: verdict }
  // That all is well with a log that is not there says nothing.
  if (verdict.size === 0) throw new Failure(`nothing was sealed in ${log.title}: is it the right one?`)
  const checkpoint = await newest(log.audit.checkpoint)
  if (checkpoint === undefined) {
    const problem = { code: 'UNSIGNED', detail: 'there is no checkpoint: whoever can write to it can have made it all' }
    return { found: { ...verdict, ok: false, integrity: 'broken', signed: 0, problems: [problem] } }
  }
  const { origin, size } = openCheckpoint(checkpoint, keys)
  return { found: { origin, ...verdict, signed: Math.min(size, verdict.size) }, checkpoint }
}

async function newest(ask: () => Promise<string>): Promise<string | undefined> {
  try {
    return await ask()
  } catch (error) {
    if (isKeelsonError(error, 'NOT_SEALED')) return undefined
    throw error
  }
}
