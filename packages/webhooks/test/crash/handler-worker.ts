import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { createIdempotency, reply, unwrap } from '@keelson/idempotency'
import { postgresStore } from '@keelson/idempotency/postgres'
import { createWebhooks, type WebhookEvent } from '@keelson/webhooks'
import { QUICK } from './node.ts'
import { openPlace, type Place } from './place.ts'

/** Handles events in transactions of a database, and says when it begins and ends one. A poisoned one is its death. */
const { PLACE = '', EFFECTS = '', MERCY } = process.env
const effects = JSON.parse(EFFECTS) as Place
const { store } = await openPlace(JSON.parse(PLACE) as Place)
const db = new pg.Pool({ connectionString: effects.url, max: 8 })
const idempotency = createIdempotency({ store: postgresStore(db, { schema: effects.name }), storeTimeout: '60s' })
const webhooks = createWebhooks({ store, encryption: 'plaintext', storeTimeout: '60s', ...QUICK })

webhooks.handle(
  'book',
  { types: ['**'], concurrency: 4, timeout: '1500ms' },
  async (event: WebhookEvent, { dedupeKey }) => {
    process.send?.('begin')
    try {
      if (event.data.poison === true && MERCY === undefined) process.kill(process.pid, 'SIGKILL')
      await sleep(Math.random() * 30)
      const outcome = await idempotency.transaction({ scope: event.scope, op: 'book', key: dedupeKey }, async (tx) => {
        await tx.query(`insert into ${effects.name}.effect(event) values ($1)`, [event.id])
        await sleep(Math.random() * 30)
        return reply(201, {})
      })
      unwrap(outcome)
      await sleep(Math.random() * 30)
    } finally {
      process.send?.('end')
    }
  },
)
process.on('disconnect', () => process.exit())
await webhooks.start()
process.send?.({ ready: true })
