import type { ClientStore } from '../client/store.ts'

/** A place for a client's store that nobody but one case uses: `make` answers a new one each time, with nothing in it. */
export interface ClientStoreUnderTest {
  /**
   * Opens the place: again, when the one before is closed, for subjects that have 'kept', which find what was written;
   * while others have it open, for those that have 'tabs'.
   */
  open(): Promise<ClientStore>
  /** For subjects that have 'crash': who has it open is cut off, whatever is under way; `open` finds what is left. */
  crash?(): Promise<void>
}
