import type { File, Files } from '../../packages/kernel/src/files/index.ts'

/** What a disk keeps or loses as a whole. */
const SECTOR = 512

/** A file under whatever names: as processes see it, and as it would be without power. */
interface Inode {
  seen: Buffer
  kept: Buffer
  /** Sectors that were written since they were synced. */
  readonly dirty: Set<number>
}

/** What happens to one call. */
export type Fault = 'ok' | 'short' | 'ENOSPC' | 'EIO' | 'crash'
type Call = 'open' | 'read' | 'write' | 'datasync' | 'truncate' | 'rename' | 'unlink' | 'makeFolder' | 'syncFolder'

/** Random numbers of a seed: from 0 up to but without `below`. */
export type Random = (below: number) => number

export function randomOf(seed: number): Random {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b_79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

/**
 * A disk that may lose what was not synced, write less than it is asked, have no room, and fail. A failed sync has lost
 * some of what it should have written, and the next one does not say so: as Linux does it.
 */
export interface SimulatedDisk extends Files {
  /** Asked before each call. */
  fault: (call: Call, path: string) => Fault
  /** What is there when the power is back: any part of what was not synced is lost. */
  afterCrash(): SimulatedDisk
  /** Somewhere on it are these bytes, in a file or in what an unsynced one has left. */
  holds(bytes: Buffer): boolean
  /** As processes see it. */
  file(path: string): Buffer | undefined
  paths(): string[]
}

interface Names {
  readonly files: Map<string, Inode>
  readonly folders: Set<string>
}

export function simulatedDisk(random: Random, start?: Names): SimulatedDisk {
  const seen: Names = start ?? { files: new Map(), folders: new Set(['/']) }
  const kept: Names = { files: new Map(seen.files), folders: new Set(seen.folders) }
  let dead = false

  /** After a crash nothing happens any more. */
  async function call(what: Call, path: string): Promise<Fault> {
    // Others go on meanwhile, sometimes.
    for (let turns = random(3); turns > 0; turns--) await Promise.resolve()
    if (dead) throw failure('EIO', what, 'the power is gone')
    const fault = disk.fault(what, path)
    if (fault === 'crash') dead = true
    if (fault === 'EIO') throw failure('EIO', what, path)
    if (fault === 'ENOSPC' && what !== 'datasync') throw failure('ENOSPC', what, path)
    return fault
  }
  function inodeAt(path: string): Inode {
    const inode = seen.files.get(path)
    if (inode === undefined) throw failure('ENOENT', 'open', path)
    return inode
  }

  const disk: SimulatedDisk = {
    fault: () => 'ok',
    async open(path, mode) {
      await call('open', path)
      if (!seen.folders.has(folderOf(path))) throw failure('ENOENT', 'open', path)
      if (mode === 'new') {
        if (seen.files.has(path)) throw failure('EEXIST', 'open', path)
        seen.files.set(path, { seen: Buffer.alloc(0), kept: Buffer.alloc(0), dirty: new Set() })
      }
      return fileOf(inodeAt(path), path)
    },
    async list(folder) {
      return [...seen.files.keys()]
        .filter((path) => folderOf(path) === folder)
        .map((path) => path.slice(folder.length + 1))
    },
    async rename(from, to) {
      await call('rename', from)
      seen.files.set(to, inodeAt(from))
      seen.files.delete(from)
    },
    async unlink(path) {
      await call('unlink', path)
      inodeAt(path)
      seen.files.delete(path)
    },
    async makeFolder(path) {
      await call('makeFolder', path)
      for (let folder = path; !seen.folders.has(folder); folder = folderOf(folder)) seen.folders.add(folder)
    },
    async syncFolder(folder) {
      await call('syncFolder', folder)
      for (const path of new Set([...seen.files.keys(), ...kept.files.keys()])) {
        if (folderOf(path) === folder) copyName(seen.files, kept.files, path)
      }
      for (const path of seen.folders) if (folderOf(path) === folder) kept.folders.add(path)
    },
    afterCrash() {
      const left: Names = { files: new Map(), folders: new Set(['/']) }
      for (const folder of [...seen.folders].sort((a, b) => a.length - b.length))
        if (left.folders.has(folderOf(folder)) && (kept.folders.has(folder) || random(2) === 0))
          left.folders.add(folder)
      for (const path of new Set([...seen.files.keys(), ...kept.files.keys()]))
        if (left.folders.has(folderOf(path))) copyName((random(2) === 0 ? seen : kept).files, left.files, path)
      const inodes = new Map<Inode, Inode>()
      for (const [path, inode] of left.files) {
        if (!inodes.has(inode)) inodes.set(inode, withoutPower(inode, random))
        left.files.set(path, inodes.get(inode)!)
      }
      return simulatedDisk(random, left)
    },
    holds: (bytes) =>
      [...seen.files.values(), ...kept.files.values()].some(
        (inode) => inode.seen.includes(bytes) || inode.kept.includes(bytes),
      ),
    file: (path) => seen.files.get(path)?.seen,
    paths: () => [...seen.files.keys()].sort(),
  }

  function fileOf(inode: Inode, path: string): File {
    return {
      async read(into, position) {
        await call('read', path)
        return inode.seen.copy(into, 0, position, position + into.length)
      },
      async write(bytes, position) {
        // The buffer may be used again once the call is over, but not before.
        const fault = await call('write', path)
        const length = fault === 'short' ? random(bytes.length) + 1 : bytes.length
        resize(inode, Math.max(inode.seen.length, position + length))
        inode.seen.set(bytes.subarray(0, length), position)
        markDirty(inode, position, position + length)
        return length
      },
      async datasync() {
        const fault = await call('datasync', path).catch((error: unknown) => {
          if (!dead) lose(inode, random)
          throw error
        })
        if (fault === 'crash') return new Promise(() => {})
        if (fault === 'ENOSPC') {
          lose(inode, random)
          throw failure('ENOSPC', 'datasync', path)
        }
        const sectors = [...inode.dirty]
        inode.kept = resized(inode.kept, inode.seen.length)
        for (const sector of sectors) copySector(inode.seen, inode.kept, sector)
        inode.dirty.clear()
      },
      async truncate(bytes) {
        await call('truncate', path)
        const from = Math.min(bytes, inode.seen.length)
        resize(inode, bytes)
        markDirty(inode, from, Math.min(bytes, from + SECTOR))
      },
      size: async () => inode.seen.length,
      close: async () => {},
    }
  }
  return disk
}

/** What a failed sync leaves: some of it is taken for written. */
function lose(inode: Inode, random: Random): void {
  for (const sector of inode.dirty) if (random(2) === 0) inode.dirty.delete(sector)
}

function withoutPower(inode: Inode, random: Random): Inode {
  const bytes = resized(inode.kept, random(2) === 0 ? inode.seen.length : inode.kept.length)
  const all = random(4)
  for (const sector of inode.dirty) if (all === 0 || (all > 1 && random(2) === 0)) copySector(inode.seen, bytes, sector)
  return { seen: bytes, kept: Buffer.from(bytes), dirty: new Set() }
}

function resize(inode: Inode, bytes: number): void {
  if (bytes < inode.seen.length) {
    // What was behind the end is zeros, should it grow again: on the disk when that is synced.
    for (let sector = Math.floor(bytes / SECTOR); sector * SECTOR < inode.seen.length; sector++) inode.dirty.add(sector)
  }
  inode.seen = resized(inode.seen, bytes)
}

function resized(bytes: Buffer, length: number): Buffer {
  const all = Buffer.alloc(length)
  bytes.copy(all)
  return all
}

function markDirty(inode: Inode, from: number, to: number): void {
  for (let sector = Math.floor(from / SECTOR); sector * SECTOR < to; sector++) inode.dirty.add(sector)
}

function copySector(from: Buffer, to: Buffer, sector: number): void {
  const begin = sector * SECTOR
  to.fill(0, Math.min(begin, to.length), begin + SECTOR > to.length ? to.length : begin + SECTOR)
  if (begin < from.length) from.copy(to, begin, begin, begin + SECTOR)
}

function copyName(from: Map<string, Inode>, to: Map<string, Inode>, path: string): void {
  const inode = from.get(path)
  if (inode === undefined) to.delete(path)
  else to.set(path, inode)
}

function folderOf(path: string): string {
  return path.slice(0, Math.max(1, path.lastIndexOf('/')))
}

function failure(code: string, call: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${call} ${path}`), { code, syscall: call })
}
