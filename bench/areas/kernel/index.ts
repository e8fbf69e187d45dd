import type { Area } from '../../src/case.ts'
import { hotPaths } from './hot-paths.ts'
import { transactions } from './transactions.ts'
import { weights } from './weights.ts'

const kernel: Area = (services) => [...transactions(services), ...hotPaths(), ...weights()]
export default kernel
