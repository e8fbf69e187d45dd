export { createHealth, type BreakerLike, type Health, type HealthOptions } from './health.ts'
export type { Report, ReportedCheck } from './report.ts'
export { checks, type Check, type Checks } from './checks.ts'
export { ResilienceError, type ResilienceErrorCode } from '../error.ts'
