export { resilientFetch, type ResilientFetch, type ResilientFetchOptions } from './resilient-fetch.ts'
export { parseRetryAfter } from '@keelson/kernel/retry-after'
export { verdicts, type Verdicts } from './verdicts.ts'
