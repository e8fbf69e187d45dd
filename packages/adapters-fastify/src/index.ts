export { keelson, type KeelsonOptions } from './keelson.ts'
export { policy } from './policy.ts'
export { transaction } from './transaction.ts'
export type { KeelsonFastify, KeelsonRequest } from './request.ts'
