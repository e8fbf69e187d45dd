export { healthApi, type HealthApiOptions, type HealthCheck, type HealthLike, type HealthReport } from './health-api.ts'
export { opsApi, type OpsApiOptions, type OpsComponent, type OpsHttp } from './ops-api.ts'
export type { Authorize } from './router.ts'
export type { PipelineLike } from './breakers.ts'
