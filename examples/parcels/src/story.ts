import { generateKey } from '@keelson/audit'
import { generateSecret } from '@keelson/webhooks'
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { auditSteps } from './audit-steps.ts'
import { bookingSteps } from './booking-steps.ts'
import { client } from './client.ts'
import { courierSteps } from './courier-steps.ts'
import { explainStep } from './explain-step.ts'
import { FRAMEWORKS, type Framework } from './environment.ts'
import { startNodeProcess } from './node-process.ts'
import { quoteSteps } from './quote-steps.ts'
import { statusSteps } from './status-steps.ts'
import { openEmbedded, openProcesses, type StoryNodes } from './story-nodes.ts'
import type { Step } from './step.ts'
import { openSystem } from './system.ts'
import { unluckySteps } from './unlucky-steps.ts'
import { webhookSteps, type Seen } from './webhook-steps.ts'

/** The story, and what ends all that it started. */
export interface Story {
  readonly steps: readonly Step[]
  /** Of the nodes that stay up until the end, one a framework. */
  readonly nodes: StoryNodes['nodes']
  close(): Promise<void>
}

/** What the story is told on. */
interface Stage {
  /** A Postgres; embedded without one. */
  readonly databaseUrl?: string | undefined
  /** A Redis beside the Postgres. */
  readonly redisUrl?: string | undefined
  /** The framework of the node that is asked first; default Express. */
  readonly first?: Framework
}

/** Opens the stores and tells the story over real HTTP, on three nodes: one for each framework. */
export async function openStory({ databaseUrl, redisUrl, first: leader = 'express' }: Stage = {}): Promise<Story> {
  const folder = await mkdtemp(join(tmpdir(), 'parcels-'))
  const carrier = await startNodeProcess({}, 'carrier.ts')
  // Postgres keeps what earlier stories wrote, so each has keys, and a log, of its own. Not of digits alone: the log
  // would take some for the number of a card, and redact them.
  const key = `story-${process.pid}x${Date.now().toString(36)}`
  const { signer, verifier } = generateKey('parcels.example')
  const settings = {
    // A slow machine is no part of the story.
    STORE_TIMEOUT: '30s' as const,
    DUPLICATE_WAIT: '60s' as const,
    CARRIER_URL: carrier.ready.url,
    CARRIER_SECRET: generateSecret(),
    CIRCUIT_RESET_TIMEOUT: 500,
    // What went wrong, the steps say.
    LOG_LEVEL: 'silent' as const,
    WEBHOOK_KEY: randomBytes(32).toString('base64'),
    // The merchant's receiver of the story is a process of this machine.
    WEBHOOK_ALLOW: '127.0.0.1/32',
    BOOKINGS_PER_MINUTE: 10_000,
    AUDIT_KEY: signer,
    PRIVACY_KEY: randomBytes(32).toString('base64'),
    AUDIT_LOG: key,
    AUDIT_FILE: join(folder, 'audit.jsonl'),
  }
  const redis = redisUrl === undefined ? {} : { REDIS_URL: redisUrl }
  const servers = databaseUrl === undefined ? undefined : { ...settings, DATABASE_URL: databaseUrl, ...redis }
  const own = { DATA_DIR: join(folder, 'data'), AUDIT_FILE: join(folder, 'audit-of-data.jsonl') }
  const stores = servers ?? { ...settings, ...own }
  const webhookSecret = generateSecret()
  const receiver = await startNodeProcess({ WEBHOOK_SECRET: webhookSecret, LOSE_FIRST_ANSWER: 1 }, 'receiver.ts')
  const received = async (): Promise<Seen> => (await fetch(`${receiver.ready.url}/seen`)).json() as Promise<Seen>
  // The process that is going to die starts early, so that nobody waits for it later.
  const victim = startNodeProcess({ ...stores, FRAMEWORK: leader }, 'dying-node.ts')
  victim.catch(() => {}) // met by its step
  const frameworks = [leader, ...FRAMEWORKS.filter((one) => one !== leader)]
  const { db, audit, nodes, openAnother, close } = await (servers === undefined
    ? openEmbedded(settings, frameworks)
    : openProcesses(servers, frameworks))

  const clients = nodes.map(({ url }) => client(url, db))
  const urls = nodes.map(({ url }) => url)
  const delivered = async (): Promise<readonly string[]> => (await received()).done
  const quotes = quoteSteps({ carrier, first: clients[0]!, url: urls[0]! })
  const unlucky = unluckySteps({ key, framework: leader, openAnother, victim, revive: () => openSystem(stores) })
  const couriers = courierSteps({ key, folder: join(folder, 'couriers'), audit, clients, urls, delivered })

  const steps: Step[] = [
    ...quotes.steps,
    ...bookingSteps(key, clients),
    ...webhookSteps({ key, clients, receiverUrl: receiver.ready.url, secret: webhookSecret, received }),
    ...statusSteps({
      key,
      folder: join(folder, 'status'),
      secret: settings.CARRIER_SECRET,
      clients,
      urls,
      delivered,
    }),
    {
      name: 'every node is ready, and shows what it counts to its operator only',
      async run() {
        for (const { url } of nodes) {
          assert.equal((await fetch(`${url}/health/ready`)).status, 200)
          const metrics = `${url}/ops/metrics`
          assert.equal((await fetch(metrics)).status, 401)
          const page = await fetch(metrics, { headers: { authorization: 'Bearer ops' } })
          const text = await page.text()
          assert.match(text, /keelson_http_requests_total{method="POST",route="\/shipments",status="201"}/)
          assert.match(text, /^keelson_audit_sealed_size \d/m)
        }
      },
    },
    ...unlucky.steps,
    ...couriers.steps,
    explainStep({ key, servers, first: clients[0]! }),
    ...auditSteps({
      key,
      folder,
      verifier,
      db,
      redisUrl,
      file: settings.AUDIT_FILE,
      audit,
      url: urls[0]!,
      first: clients[0]!,
      delivered,
    }),
  ]

  return {
    steps,
    nodes,
    async close() {
      await quotes.close()
      await receiver.end('SIGKILL')
      await couriers.close()
      await unlucky.close()
      await close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
