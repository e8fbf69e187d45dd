import type { Area } from '../../src/case.ts'
import { inTransaction } from './in-transaction.ts'
import { losses } from './losses.ts'
import { recording } from './recording.ts'
import { sealing } from './sealing.ts'
import { shipping } from './shipping.ts'

const audit: Area = (services) => [
  ...recording(services),
  ...shipping(services),
  ...inTransaction(services),
  ...sealing(services),
  ...losses(services),
]
export default audit
