import { mkdir, open, readdir, rename, unlink, type FileHandle } from 'node:fs/promises'

/** An open file. Positions and sizes are bytes; `read` and `write` may do less than they are asked. */
export interface File {
  read(into: Uint8Array, position: number): Promise<number>
  write(bytes: Uint8Array, position: number): Promise<number>
  /** What was written, and how long the file is, survives a loss of power. */
  datasync(): Promise<void>
  truncate(bytes: number): Promise<void>
  size(): Promise<number>
  close(): Promise<void>
}

/** What a store asks of a file system: so little that a test can be one that loses power. */
export interface Files {
  /** 'new' fails with EEXIST where the file is there, 'old' with ENOENT where it is not. */
  open(path: string, mode: 'new' | 'old'): Promise<File>
  /** Names in a folder, in no order; none where there is no such folder. */
  list(folder: string): Promise<readonly string[]>
  rename(from: string, to: string): Promise<void>
  unlink(path: string): Promise<void>
  /** With the folders above it; what is there already stays. */
  makeFolder(path: string): Promise<void>
  /** Which names are in it survives a loss of power. */
  syncFolder(path: string): Promise<void>
}

/** The file system of this machine. */
export const diskFiles: Files = {
  async open(path, mode) {
    return diskFile(await open(path, mode === 'new' ? 'wx+' : 'r+', 0o600))
  },
  async list(folder) {
    try {
      return await readdir(folder)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw error
    }
  },
  rename,
  unlink,
  async makeFolder(path) {
    await mkdir(path, { recursive: true, mode: 0o700 })
  },
  async syncFolder(path) {
    await using folder = await open(path, 'r')
    await folder.sync()
  },
}

function diskFile(handle: FileHandle): File {
  return {
    read: async (into, position) => (await handle.read(into, 0, into.length, position)).bytesRead,
    write: async (bytes, position) => (await handle.write(bytes, 0, bytes.length, position)).bytesWritten,
    datasync: () => handle.datasync(),
    truncate: (bytes) => handle.truncate(bytes),
    size: async () => (await handle.stat()).size,
    // Waits for what is under way on it.
    close: () => handle.close(),
  }
}

/** Writes all of it, however little each write takes. */
export async function writeAll(file: File, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0
  while (done < bytes.length) {
    const wrote = await file.write(done === 0 ? bytes : bytes.subarray(done), position + done)
    if (wrote === 0) throw Object.assign(new Error('a write that writes nothing'), { code: 'EIO' })
    done += wrote
  }
}

/** From `position` on, as many of `length` bytes as the file has. */
export async function readAll(file: File, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(length)
  let done = 0
  while (done < length) {
    const got = await file.read(bytes.subarray(done), position + done)
    if (got === 0) break
    done += got
  }
  return bytes.subarray(0, done)
}

/** Puts a new file in the place of another, or none: at each moment one of both is there, whole. */
export async function replaceFile(files: Files, folder: string, name: string, bytes: Uint8Array): Promise<void> {
  const path = `${folder}/${name}`
  const file = await freshFile(files, `${path}.tmp`)
  try {
    await writeAll(file, bytes, 0)
    await file.datasync()
  } finally {
    await file.close()
  }
  await files.rename(`${path}.tmp`, path)
  await files.syncFolder(folder)
}

/** A new file, where one that counts for nothing may be in the way. */
export async function freshFile(files: Files, path: string): Promise<File> {
  try {
    return await files.open(path, 'new')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    await files.unlink(path)
    return files.open(path, 'new')
  }
}

/** The whole of a file, or undefined where there is none. */
export async function readFile(files: Files, path: string): Promise<Buffer | undefined> {
  let file: File
  try {
    file = await files.open(path, 'old')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    return await readAll(file, 0, await file.size())
  } finally {
    await file.close()
  }
}
