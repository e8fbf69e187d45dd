import type { Area } from '../../src/case.ts'
import { hitRates } from './hit-rates.ts'
import { l1Heap } from './l1-heap.ts'
import { l1Hits } from './l1-hits.ts'
import { nodes } from './nodes.ts'
import { onPostgres } from './on-postgres.ts'
import { onRedis } from './on-redis.ts'
import { tagDrop } from './tag-drop.ts'

const cache: Area = (services) => [
  ...l1Hits(),
  ...onRedis(services),
  ...tagDrop(services),
  ...nodes(services),
  ...onPostgres(services),
  ...l1Heap(),
  ...hitRates(),
]
export default cache
