export { createShutdown, type Shutdown, type ShutdownOptions, type ShutdownResult } from './shutdown.ts'
export type { Part } from './part.ts'
export { ResilienceError, type ResilienceErrorCode } from '../error.ts'
