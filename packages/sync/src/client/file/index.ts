import { resolve } from 'node:path'
import { diskFiles, lockFolder } from '@keelson/kernel/files'
import type { ClientStore } from '../store.ts'
import { storeFailure } from './failure.ts'
import { createFileStore } from './file-store.ts'

/**
 * For a device with a file system: a log in a folder of its own, made if it is not there. The folder is taken with the
 * first call, by one process and one store at a time, and given back by `close()` or the end of the process or worker.
 *
 * After a failed write or sync all calls reject: close it, and open another, which has all that had resolved.
 * @throws Error for a path that is none
 */
export function fileStore(path: string): ClientStore {
  if (typeof path !== 'string' || path === '') throw storeFailure('fileStore: the path of a folder must be a text')
  const dir = resolve(path)
  const locked = ({ pid }: { readonly pid: number }): Error =>
    storeFailure(`process ${pid} has ${dir} open; one store has it at a time`)
  return createFileStore({ files: diskFiles, dir, lock: () => lockFolder(dir, locked) })
}
