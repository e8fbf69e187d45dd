import { randomBytes } from 'node:crypto'
import { request } from 'node:http'
import pg from 'pg'
import { afterEach, expect, inject, test } from 'vitest'
import { postgresStore } from '@keelson/idempotency/postgres'
import { migrate } from '@keelson/kernel/postgres'
import { generateSecret, sign } from '@keelson/webhooks'
import { requestSigner } from '@keelson/webhooks/request-signing'
import { startWorker } from '../../../tools/crash/worker-process.ts'

const SECRET = generateSecret()

interface Node {
  readonly url: string
  readonly ran: string[]
  /** Resolves when its first handler has begun. */
  readonly begun: Promise<void>
  /** Lets its handlers end. */
  go(): void
  kill(): Promise<void>
}

async function startNode(env: Record<string, string>): Promise<Node> {
  const worker = await startWorker<'where' | 'go', { url?: string; ran?: string }>(
    new URL('./receiving-worker.ts', import.meta.url),
    env,
  )
  const ran: string[] = []
  const begun = Promise.withResolvers<void>()
  const url = await new Promise<string>((resolve) => {
    worker.onMessage((said) => {
      if (said.url !== undefined) resolve(said.url)
      if (said.ran === undefined) return
      ran.push(said.ran)
      begun.resolve()
    })
    worker.send('where')
  })
  return { url, ran, begun: begun.promise, go: () => worker.send('go'), kill: () => worker.kill() }
}

const ends: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

test.each(['ioredis 6', 'Postgres'])(
  'on %s, a webhook that comes to two processes at once is handled once, a signed request is good at one',
  { timeout: 300_000 },
  async (KIND) => {
    const SPACE = `receiving_${randomBytes(6).toString('hex')}`
    const isPostgres = KIND === 'Postgres'
    if (isPostgres) {
      const pool = new pg.Pool({ connectionString: inject('databaseUrl') })
      ends.push(() => pool.end())
      await migrate(pool, [postgresStore(pool, { schema: SPACE })])
      ends.push(() => pool.query(`drop schema ${SPACE} cascade`))
    }
    const env = { KIND, SPACE, SECRET, STORE_URL: isPostgres ? inject('databaseUrl') : inject('redisUrl') }
    const nodes = await Promise.all([startNode(env), startNode(env)])
    ends.push(() => Promise.all(nodes.map((node) => node.kill())))
    const runs = (path: string): number => nodes.flatMap(({ ran }) => ran).filter((one) => one === path).length

    const body = '{ "n" : 1 }'
    const timestamp = Math.floor(Date.now() / 1_000)
    const headers = { ...sign({ id: 'evt_1', timestamp, body: Buffer.from(body), secrets: [SECRET] }) }
    const deliver = ({ url }: Node): Promise<Response> =>
      fetch(`${url}/hook`, { method: 'POST', headers: { ...headers, 'Content-Type': 'application/json' }, body })
    const both = nodes.flatMap((node) => [deliver(node), deliver(node)])
    await Promise.race(nodes.map(({ begun }) => begun))
    for (const node of nodes) node.go()
    const answers = await Promise.all(both)
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201, 201])
    expect(answers.filter((one) => one.headers.has('idempotent-replayed')).length).toBe(3)
    expect((await Promise.all(nodes.map(deliver))).map((one) => one.headers.has('idempotent-replayed'))).toEqual([
      true,
      true,
    ])
    expect(runs('/hook')).toBe(1)

    // A load balancer has one name for both.
    const [one, other] = nodes.map(({ url }) => new URL('/signed', url)) as [URL, URL]
    const signer = requestSigner({ keyId: 'k1', key: { alg: 'hmac-sha256', key: SECRET } })
    const signature = signer.sign({ method: 'POST', url: one, body })
    const send = (to: URL): Promise<number> => statusOf(to, { ...signature, Host: one.host }, body)
    const statuses = await Promise.all([one, other, one, other].map(send))
    expect(statuses.toSorted((a, b) => a - b)).toEqual([201, 401, 401, 401])
    expect(runs('/signed')).toBe(1)
  },
)

/** `fetch` says its own Host. */
function statusOf(to: URL, headers: Record<string, string>, body: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request(to, { method: 'POST', headers }, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode!))
    })
    asked.on('error', reject).end(body)
  })
}
