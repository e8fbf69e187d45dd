import { freshFile, writeAll, type Files } from '@keelson/kernel/files'
import type { Contents } from './contents.ts'
import type { Log } from './log.ts'
import { recordOf } from './record.ts'

/** What one turn of the event loop writes: updates come in between. */
const PORTION_CHARS = 1 << 16

/**
 * Writes all that is there into a new log, behind it what was appended meanwhile, and puts it in the place of the old
 * one. Until then nothing of it counts.
 *
 * What it read of the contents may be of updates that are not durable, even a part of them: these are in the old log
 * before the new one counts, and are read once more behind it.
 */
export async function compact(
  files: Files,
  path: string,
  { contents, log }: { readonly contents: Contents; readonly log: Log },
  isEnough: () => boolean,
): Promise<void> {
  const from = log.end
  const fresh = await freshFile(files, path)
  let isInPlace = false
  try {
    let at = 0
    for (const lines of contents.lines(PORTION_CHARS)) {
      if (isEnough()) return
      const record = recordOf(lines)
      await writeAll(fresh, record, at)
      at += record.length
    }
    // Most of it, before the others have to wait.
    const copied = await log.copy(from, fresh, at)
    await fresh.datasync()
    if (isEnough()) return
    await log.replaceBy(fresh, path, at + copied, from + copied)
    isInPlace = true
  } finally {
    if (!isInPlace) {
      await fresh.close()
      await files.unlink(path).catch(() => {})
    }
  }
}
