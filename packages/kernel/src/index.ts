export { ms, type Duration } from './duration.ts'
export { KeelsonError, isKeelsonError, type ErrorDetails } from './error.ts'
export { KernelError, type KernelErrorCode } from './kernel-error.ts'
export { systemClock, type Clock } from './clock.ts'
export { isScope, isPlainText } from './scope.ts'
export type { Logger } from './logger.ts'
export { silentLogger } from './logger.ts'
export type { Database, QueryResult, Statement, Tx } from './tx.ts'
export type { Effect, EffectContext, Principal, ReplayGuard } from './effect.ts'
export { context, type KeelsonContext } from './context.ts'
export { isReply, reply, type Reply, type StoredResponse } from './reply.ts'
export { responseCodec, type Codec } from './response-codec.ts'
export { uuidv7 } from './uuid.ts'
export { checkOptions, opt, type Opt, type OptionFailure, type OptionSpec, type Resolved } from './options.ts'
export { isStoreFailure } from './store-failure.ts'
export { createStoreGuard, type StoreGuard, type StoreGuardOptions, type StoreGuardState } from './store-guard.ts'
export { endOf } from './end.ts'
export {
  createMetrics,
  type Counter,
  type Gauge,
  type Histogram,
  type HistogramOptions,
  type LabelArgs,
  type Labels,
  type MetricFamily,
  type Metrics,
  type Sample,
} from './metrics.ts'
export { kernelMetrics } from './kernel-metrics.ts'
export { traced } from './traced.ts'
export type { Component, Status } from './component.ts'
export { isTraceparent } from './traceparent.ts'
export type { StandardIssue, StandardResult, StandardSchemaV1 } from './standard-schema.ts'
