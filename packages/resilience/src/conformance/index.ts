export { limiterStoreSuite } from './limiter-store-suite.ts'
export { brokenStores } from './broken-stores.ts'
export type { StoreUnderTest } from './store-under-test.ts'
