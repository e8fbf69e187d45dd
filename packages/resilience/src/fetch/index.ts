export { resilientFetch, type ResilientFetch, type ResilientFetchOptions } from './resilient-fetch.ts'
export { parseRetryAfter } from './retry-after.ts'
export { verdicts, type Verdicts } from './verdicts.ts'
