import type { Area } from '../../src/case.ts'
import { limiters } from './limiter.ts'
import { overload } from './pipeline-overload.ts'
import { pipelines } from './pipeline.ts'

const resilience: Area = (services) => [...limiters(services), ...pipelines(), ...overload()]
export default resilience
