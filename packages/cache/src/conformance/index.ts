export { cacheStoreSuite } from './cache-store-suite.ts'
export { brokenStores } from './broken-stores.ts'
export type { CacheStoreUnderTest } from './store-under-test.ts'
