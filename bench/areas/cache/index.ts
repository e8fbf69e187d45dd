import type { Area } from '../../src/case.ts'
import { hitRates } from './hit-rates.ts'
import { onRedis } from './on-redis.ts'
import { l1Heap } from './l1-heap.ts'
import { l1Hits } from './l1-hits.ts'

const cache: Area = (services) => [...onRedis(services), ...l1Hits(), ...l1Heap(), ...hitRates()]
export default cache
