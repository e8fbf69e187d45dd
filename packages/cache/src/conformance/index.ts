export { cacheStoreSuite } from './cache-store-suite.ts'
export { brokenStores } from './broken-stores.ts'
export type { CacheStoreUnderTest } from './store-under-test.ts'
export { dropLogSuite } from './drop-log-suite.ts'
export { brokenLogs } from './broken-logs.ts'
export type { DropLogUnderTest } from './drop-log-under-test.ts'
export {
  oracle,
  type OracleNode,
  type OracleOptions,
  type OracleReport,
  type OracleSource,
  type OracleTruth,
  type StaleRead,
} from './oracle.ts'
