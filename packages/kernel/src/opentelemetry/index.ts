export { instrument } from './instrument.ts'
export type { OpenTelemetryApiLike, SpanContextLike, SpanLike } from './api.ts'
