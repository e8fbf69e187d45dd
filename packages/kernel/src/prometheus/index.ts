export { collect, type PromRegisterLike } from './collect.ts'
export { contentType, text } from './text.ts'
export type { MetricSource } from './merge.ts'
