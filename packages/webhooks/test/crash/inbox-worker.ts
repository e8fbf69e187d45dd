import { once } from 'node:events'
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { createIdempotency, reply, unwrap } from '@keelson/idempotency'
import { postgresStore } from '@keelson/idempotency/postgres'
import { isKeelsonError } from '@keelson/kernel'
import { createReceiver, standard } from '@keelson/webhooks/verify'
import type { Place } from './place.ts'

/** The service of a customer: verifies what comes, has it once, and books it in its own database. */
const { EFFECTS = '', SECRET = '', PORT = '' } = process.env
const { url, name: schema } = JSON.parse(EFFECTS) as Place
const db = new pg.Pool({ connectionString: url, max: 12 })
// Who dies in the middle of a message holds it for as long.
const idempotency = createIdempotency({ store: postgresStore(db, { schema }), lease: '1s', storeTimeout: '60s' })
const receiver = createReceiver({ verifier: standard({ secrets: [SECRET] }), inbox: idempotency, scope: 'from-acme' })

const server = createServer(async (request, response) => {
  process.send?.('begin')
  try {
    const chunks: Buffer[] = await request.toArray()
    const message = { body: Buffer.concat(chunks), headers: request.headers }
    const { outcome } = await receiver.receive(message, async ({ dedupeKey }) => {
      await sleep(Math.random() * 10)
      const call = { scope: 'from-acme', op: 'book', key: dedupeKey }
      const booked = await idempotency.transaction(call, async (tx) => {
        await tx.query(`insert into ${schema}.effect(event) values ($1)`, [dedupeKey])
        return reply(201, {})
      })
      unwrap(booked)
      await sleep(Math.random() * 10)
    })
    response.writeHead(outcome === 'busy' ? 409 : 204).end()
  } catch (error) {
    response.writeHead(isKeelsonError(error, 'NO_MATCH') ? 401 : 500).end()
  } finally {
    process.send?.('end')
  }
})
process.on('disconnect', () => process.exit())
await once(server.listen(Number(PORT), '127.0.0.1'), 'listening')
process.send?.({ ready: true })
