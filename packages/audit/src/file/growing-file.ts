import { freshFile, readAll, writeAll, type File, type Files } from '@keelson/kernel/files'
import { codeOf, isFull } from './failure.ts'

const COPY_BYTES = 1 << 20

/** A file that only grows, and is synced after each write. */
export interface GrowingFile {
  /** Resolves when the bytes are durable at `at`, which is where all that counts ends. One at a time. */
  put(bytes: Uint8Array, at: number): Promise<void>
  read(at: number, length: number): Promise<Buffer>
  /** 0 as long as there is none. */
  size(): Promise<number>
  close(): Promise<void>
}

export async function openGrowingFile(files: Files, folder: string, name: string): Promise<GrowingFile> {
  const path = `${folder}/${name}`
  let file = await openOld(files, path)
  // After a failed sync nobody knows what the disk has of it, and another one may say that all is well.
  let doubted = false

  async function usable(upTo: number): Promise<File> {
    if (file !== undefined && !doubted) return file
    const old = file
    const fresh = await freshFile(files, `${path}.tmp`)
    try {
      if (old !== undefined) await copy(old, fresh, upTo)
      await fresh.datasync()
      await files.rename(`${path}.tmp`, path)
      await files.syncFolder(folder)
    } catch (error) {
      await fresh.close()
      throw error
    }
    file = fresh
    doubted = false
    await old?.close()
    return fresh
  }

  return {
    async put(bytes, at) {
      const target = await usable(at)
      try {
        await writeAll(target, bytes, at)
      } catch (error) {
        doubted = !isFull(error)
        throw error
      }
      try {
        await target.datasync()
      } catch (error) {
        doubted = true
        throw error
      }
    },
    read: async (at, length) => (file === undefined ? Buffer.alloc(0) : readAll(file, at, length)),
    size: async () => (file === undefined ? 0 : file.size()),
    close: async () => file?.close(),
  }
}

async function copy(from: File, to: File, bytes: number): Promise<void> {
  for (let at = 0; at < bytes; at += COPY_BYTES)
    await writeAll(to, await readAll(from, at, Math.min(COPY_BYTES, bytes - at)), at)
}

async function openOld(files: Files, path: string): Promise<File | undefined> {
  try {
    return await files.open(path, 'old')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}
