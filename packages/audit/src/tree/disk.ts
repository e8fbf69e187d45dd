/*
 * Files of a static tree (C2SP tlog-tiles) below a directory.
 */
import { randomUUID } from 'node:crypto'
import { mkdir, open, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { AuditError } from '../error.ts'

/** The signed note beside the folder 'tile'. */
export const CHECKPOINT = 'checkpoint'
/** More than a note may have. */
export const CHECKPOINT_BYTES = 1_000_000

/**
 * A file, null if there is none. Of one that is longer than `most`, a byte more than that.
 * @throws AuditError STORE_UNAVAILABLE
 */
export async function readUpTo(path: string, most: number): Promise<Buffer | null> {
  let file: FileHandle | undefined
  try {
    file = await open(path, 'r')
    const { size } = await file.stat()
    const bytes = Buffer.allocUnsafeSlow(Math.min(size, most + 1))
    let length = 0
    for (let got = -1; got !== 0 && length < bytes.length; length += got) {
      got = (await file.read(bytes, length, bytes.length - length, length)).bytesRead
    }
    return bytes.subarray(0, length)
  } catch (error) {
    if (isMissing(error)) return null
    throw failure('cannot read', path, error)
  } finally {
    await file?.close()
  }
}

/** How long a file is; undefined if there is none. */
export async function lengthOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (isMissing(error)) return undefined
    throw failure('cannot read', path, error)
  }
}

/**
 * Writes a file whole or not at all: what has its name is on the disk.
 * @throws AuditError STORE_FULL, STORE_UNAVAILABLE
 */
export async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const folder = dirname(path)
  // In the same folder, so that it is on the same disk.
  const draft = join(folder, `.${randomUUID()}`)
  try {
    await mkdir(folder, { recursive: true })
    const file = await open(draft, 'wx')
    try {
      await file.writeFile(bytes)
      await file.datasync()
    } finally {
      await file.close()
    }
    await rename(draft, path)
  } catch (error) {
    await rm(draft, { force: true }).catch(() => {}) // the first failure is the one to tell
    throw failure('cannot write', path, error)
  }
}

/** Removes a folder and what is in it. */
export async function removeFolder(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true }).catch((error: unknown) => {
    throw failure('cannot remove', path, error)
  })
}

function isMissing(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')
}

function failure(what: string, path: string, cause: unknown): AuditError {
  const full = ['ENOSPC', 'EDQUOT'].includes((cause as NodeJS.ErrnoException).code ?? '')
  return new AuditError(full ? 'STORE_FULL' : 'STORE_UNAVAILABLE', `${what} ${path}`, { cause })
}
