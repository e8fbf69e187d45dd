import { describe, it } from 'vitest'
import { register } from '@keelson/kernel/conformance'
import { webhookStoreSuite } from '@keelson/webhooks/conformance'
import { redisClients } from '../../../../tools/servers/redis-clients.ts'
import { redisSubject, timedRedisSubject } from './redis-subject.ts'

describe.each(Object.entries(redisClients))('%s', (_, open) => {
  register(webhookStoreSuite, redisSubject(open), { describe, it })
})

describe.each([1, 3])('in virtual time, %s shards', (shards) => {
  register(webhookStoreSuite, timedRedisSubject(redisClients['ioredis 6'], shards), { describe, it })
})
