export { httpSuite } from './http-suite.ts'
export { echoContext, sample } from './sample.ts'
export type { HttpSubject, Kind, PlanRoute, Served } from './http-subject.ts'
