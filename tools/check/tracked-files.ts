import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../packages.ts'
import { run } from '../run.ts'

/** A text file of the repository. */
export interface TextFile {
  /** From the root. */
  readonly path: string
  readonly text: string
}

/** What git tracks, or would: also files that are not committed yet. */
export async function trackedFiles(): Promise<TextFile[]> {
  const { ok, output } = await run('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'])
  // Without a list every check of texts would pass.
  if (!ok) throw new Error(`git ls-files: ${output}`)
  return output
    .split('\0')
    .filter((path) => path !== '' && existsSync(join(root, path)))
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))
}
