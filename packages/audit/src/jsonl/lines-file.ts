import type { Stats } from 'node:fs'
import { access, open, rename, stat, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'

/** A file that grows, is put aside when it is big, and can be cut to where it was. */
export interface LinesFile {
  /** Cuts it to `state`; null: it is taken as it is. */
  open(state: string | null): Promise<void>
  /** Resolves when the bytes and the file's name are on the disk. */
  append(bytes: Uint8Array): Promise<void>
  /** What `open` wants: which file, and how long it is. */
  state(): string | null
  close(): Promise<void>
}

export function createLinesFile(path: string, rotateBytes: number): LinesFile {
  let handle: FileHandle | undefined
  let isOpen = false
  /** The number that the file gets when it is put aside. */
  let part = 1
  let length = 0

  async function openFile(): Promise<FileHandle> {
    const opened = await open(path, 'a+', 0o600)
    try {
      await syncFolder()
      return opened
    } catch (error) {
      await opened.close()
      throw error
    }
  }

  /** Somebody may have taken the file away or emptied it, or what failed as it was put aside has left none open. */
  async function fileThere(): Promise<FileHandle> {
    const [own, named] = await Promise.all([handle?.stat(), statOf(path)])
    if (own !== undefined && own.ino === named?.ino && own.dev === named.dev) {
      length = Math.min(length, own.size)
      return handle!
    }
    await letGo()
    const opened = (handle = await openFile())
    const { size } = await opened.stat()
    // Another one is not ours to cut.
    length = own === undefined ? Math.min(length, size) : size
    return opened
  }

  async function syncFolder(): Promise<void> {
    const folder = await open(dirname(path), 'r')
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  }

  async function rotate(): Promise<FileHandle> {
    await letGo()
    while (await exists(`${path}.${part}`)) part++
    await rename(path, `${path}.${part}`)
    part++
    length = 0
    return (handle = await openFile())
  }

  async function letGo(): Promise<void> {
    const closing = handle
    handle = undefined
    await closing?.close()
  }

  return {
    async open(state) {
      isOpen = false
      await letGo()
      const kept = state === null ? undefined : (JSON.parse(state) as { part: number; length: number })
      part = kept?.part ?? 1
      // Put aside behind the last cursor that was kept: what came since is written again.
      if (kept !== undefined && (await exists(`${path}.${part}`))) await rename(`${path}.${part}`, path)
      handle = await openFile()
      const { size } = await handle.stat()
      // Shorter than we left it: somebody took it away, and we go on behind what is there.
      length = Math.min(size, kept?.length ?? size)
      if (length < size) {
        await handle.truncate(length)
        await handle.datasync()
      }
      isOpen = true
    },

    async append(bytes) {
      if (!isOpen) throw new Error(`${path} is not open`)
      let to = await fileThere()
      if (length > 0 && length + bytes.length > rotateBytes) to = await rotate()
      try {
        for (let at = 0; at < bytes.length;) {
          const { bytesWritten } = await to.write(bytes, at, bytes.length - at)
          at += bytesWritten
        }
        await to.datasync()
        length += bytes.length
      } catch (error) {
        // Half a line must not stay before the next try.
        await to.truncate(length).catch(() => {})
        throw error
      }
    },
    state: () => JSON.stringify({ part, length }),
    async close() {
      isOpen = false
      await letGo()
    },
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
