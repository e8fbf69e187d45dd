import type { Area } from '../../src/case.ts'
import { crowded } from './crowded.ts'
import { eventInTransaction } from './event-in-transaction.ts'
import { hung } from './hung.ts'
import { latency } from './latency.ts'
import { throughput } from './throughput.ts'
import { verifies } from './verify.ts'

const webhooks: Area = (services) => [
  ...verifies(),
  ...throughput(services),
  ...latency(services),
  ...hung(services),
  ...eventInTransaction(services),
  ...(process.env['LONG'] === '1' ? crowded(services) : []),
]
export default webhooks
