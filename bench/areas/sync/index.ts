import type { Area } from '../../src/case.ts'
import { applying } from './applying.ts'
import { bootstrap } from './bootstrap.ts'
import { deltas } from './deltas.ts'
import { outbox } from './outbox.ts'
import { changeInTransaction, pushes } from './pushes.ts'
import { weights } from './weights.ts'

const sync: Area = (services) => [
  ...deltas(services),
  ...pushes(services),
  ...changeInTransaction(services),
  ...bootstrap(services),
  ...applying(),
  ...outbox(),
  ...weights(),
]
export default sync
