import type { Area } from '../../src/case.ts'
import { overHttp } from './over-http.ts'
import { weights } from './weights.ts'

const http: Area = (services) => [...overHttp(services), ...weights()]
export default http
