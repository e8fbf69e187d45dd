/** The part of the kernel without a `node:` import: it runs in browsers too. */
export { ms, type Duration } from './duration.ts'
export { KeelsonError, isKeelsonError, type ErrorDetails } from './error.ts'
export { KernelError, type KernelErrorCode } from './kernel-error.ts'
export { systemClock, type Clock } from './clock.ts'
export { isScope } from './scope.ts'
