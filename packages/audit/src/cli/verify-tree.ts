import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isKeelsonError } from '@keelson/kernel'
import { verifyTiles } from '../verify/index.ts'
import { Failure } from './failure.ts'
import type { Checked, Witnesses } from './found.ts'

/** A static tree: nothing but its files and the keys is trusted. It ends at the first fault. */
export async function verifyTree(
  dir: string,
  { keys, against, pruned }: Witnesses & { readonly pruned: number },
): Promise<Checked> {
  try {
    const { origin, size, root } = await verifyTiles(dir, { keys, against, pruned })
    const checkpoint = await readFile(join(dir, 'checkpoint'), 'utf8')
    const completeness = against.length === 0 ? 'unwitnessed' : 'ok'
    return { found: { ok: true, origin, size, root, integrity: 'ok', completeness, problems: [] }, checkpoint }
  } catch (error) {
    if (!isKeelsonError(error, 'STORE_CORRUPT') && !isKeelsonError(error, 'INPUT_INVALID')) throw error
    const { code, message: detail } = error
    // An argument that is of another log.
    if (code === 'INPUT_INVALID' && detail.startsWith('against')) throw new Failure(`--${detail}`)
    return { found: { ok: false, integrity: 'broken', problems: [{ code, detail }] } }
  }
}
