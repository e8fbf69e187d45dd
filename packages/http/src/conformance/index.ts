export { httpSuite } from './http-suite.ts'
export { brokenAdapters } from './broken/broken-adapters.ts'
export { echoContext, inFront, sample } from './sample.ts'
export type { HttpSubject, Kind, PlanRoute, Served } from './http-subject.ts'
