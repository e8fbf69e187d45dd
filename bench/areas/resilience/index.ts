import type { Area } from '../../src/case.ts'
import { limiters } from './limiter.ts'

const resilience: Area = (services) => [...limiters(services)]
export default resilience
