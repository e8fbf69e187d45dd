import type { Database } from '@keelson/kernel'
import type { DropLog } from '../store.ts'

/** A log, and the database that its rows are part of. */
export interface DropLogUnderTest {
  readonly log: DropLog
  readonly db: Database
  /** Lets so many ms pass by the database's clock; default: really waits. */
  elapse?(ms: number): Promise<void>
}
