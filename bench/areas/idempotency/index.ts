import type { Area } from '../../src/case.ts'

const idempotency: Area = () => []
export default idempotency
