import { resolve } from 'node:path'
import { checkOptions, opt, type Duration, type Logger } from '@keelson/kernel'
import { diskFiles, lockFolder } from '@keelson/kernel/files'
import { AuditError, optionFailure } from '../error.ts'
import type { AuditStore } from '../store.ts'
import { forReading, readOnlyFiles } from './read-only.ts'
import { createFileStore } from './file-store.ts'

/** What `fileStore` takes. */
export interface FileStoreOptions {
  /** A folder of its own, made if it is not there: for one process at a time. */
  readonly dir: string
  /** 'os': an entry outlives the process, but not a loss of power. Default 'fsync'. */
  readonly durability?: 'fsync' | 'os'
  /** Of one file of entries, 64 KiB to 1 GiB, default 64 MiB. Entries are dropped by whole files. */
  readonly segmentBytes?: number
  /** Of everything together; default 1 GiB. Over it entries are refused with STORE_FULL. */
  readonly maxBytes?: number
  /** How long an entry waits for the disk; default '5s'. */
  readonly appendTimeout?: Duration
  /**
   * For who looks at a log, or at a copy: nothing of the folder is changed, another process may have it, and what that
   * writes later is not seen. Methods that write reject with STORE_LOCKED. Default false.
   */
  readonly readOnly?: boolean
  /** Told `audit.store.poisoned` when the disk fails to sync a file: its entries are safe in another one. */
  readonly logger?: Logger
}

const SPEC = {
  dir: opt.required(opt.string(undefined, { match: /./, allowed: 'the path of a folder' })),
  durability: opt.oneOf(['fsync', 'os'], 'fsync'),
  segmentBytes: opt.integer(64 << 20, { min: 64 << 10, max: 1 << 30 }),
  maxBytes: opt.integer(1 << 30, { min: 1 << 20 }),
  appendTimeout: opt.duration('5s', { min: 1 }),
  readOnly: opt.boolean(false),
  logger: opt.logger(),
}

/**
 * A journal in files of one folder, for applications without a database and as the spool of others. The folder is taken
 * with the first call and given back by `close()`.
 * @throws KeelsonError OPTION_INVALID; its methods AuditError STORE_LOCKED, STORE_UNAVAILABLE, STORE_FULL, STORE_CORRUPT
 */
export function fileStore(options: FileStoreOptions): AuditStore {
  const o = checkOptions('fileStore', options, SPEC, optionFailure)
  const dir = resolve(o.dir)
  const parts = { ...o, dir, timeoutMs: o.appendTimeout }
  if (o.readOnly)
    return forReading(createFileStore({ ...parts, files: readOnlyFiles, lock: async () => async () => {} }), dir)
  const locked = ({ pid }: { readonly pid: number }): Error =>
    new AuditError('STORE_LOCKED', `process ${pid} has ${dir} open; one process has it at a time`)
  return createFileStore({ ...parts, files: diskFiles, lock: () => lockFolder(dir, locked) })
}
