import { test } from 'vitest'
import { behavesAsModel } from './play-store.ts'
import { storeSteps } from './store-steps.ts'

test.concurrent.each(['memory', 'Redis, ioredis', 'Redis, node-redis', 'Postgres'])(
  '%s does what the model says, whatever happens to its callers',
  (name) => behavesAsModel(name, storeSteps),
)
