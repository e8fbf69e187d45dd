export { idempotencyStoreSuite } from './idempotency-store-suite.ts'
export { brokenStores } from './broken-stores.ts'
export type { StoreUnderTest, TransactionalStoreUnderTest } from './store-under-test.ts'
