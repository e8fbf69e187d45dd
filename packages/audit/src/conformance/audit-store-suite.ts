import type { Suite } from '@keelson/kernel/conformance'
import { appendCases } from './store/append.ts'
import { cursorCases } from './store/cursors.ts'
import { keepingCases } from './store/keeping.ts'
import { readCases } from './store/read.ts'
import { sealCases } from './store/seal.ts'
import type { StoreUnderTest } from './store-under-test.ts'

/**
 * All that an {@link AuditStore} promises. What a subject `has`: 'transactions' (with `db`) or 'no transactions', and
 * 'drain' if it can be a spool. Each case has a log of its own, so a store may be shared.
 */
export const auditStoreSuite: Suite<StoreUnderTest> = {
  name: 'audit store',
  of: 'store',
  cases: [...appendCases, ...sealCases, ...readCases, ...cursorCases, ...keepingCases],
}
