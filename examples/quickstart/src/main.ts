import { createExpress } from '@keelson/express'
import { createHttp } from '@keelson/http'
import { createIdempotency, memoryStore } from '@keelson/idempotency'
import express from 'express'

const idempotency = createIdempotency({ store: memoryStore() }) // several processes: redisStore(client)
const k = createExpress(createHttp({ idempotency, scope: () => 'public' }))
const app = express()
app.use(k.context(), express.json())
app.post('/orders', k.idempotent({ required: true }), (req, res) => {
  res.status(201).json({ id: crypto.randomUUID(), sku: req.body.sku })
})
app.use(k.errors())

const server = app.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1', () => {
  const { port } = server.address() as { port: number }
  const curl = `curl -i localhost:${port}/orders -H 'Content-Type: application/json' -H 'Idempotency-Key: k1' -d '{"sku":"tea"}'`
  console.log(`Twice the same order, and one answer:\n\n${curl}\n${curl}`)
})
