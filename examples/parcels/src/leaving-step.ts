import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Audit } from '@keelson/audit'
import type { Database } from '@keelson/kernel'
import type { client } from './client.ts'
import { placesOf } from './places-of.ts'
import { until, type Step } from './step.ts'

/** Tables in which a merchant's values can be read, and who exports them. What a cache has are copies. */
export const EXPORTED_BY: Readonly<Record<string, string>> = {
  'keelson.cache_entry': 'shipments',
  'keelson.sync_conflict': 'sync',
  'keelson.sync_record': 'sync',
  'keelson.webhook_attempt': 'webhooks',
  'keelson.webhook_endpoint': 'endpoints',
  'keelson.webhook_event': 'webhooks',
  'parcels.shipments': 'shipments',
}

/** What the step is told with. */
interface LeavingStage {
  /** What the story's keys begin with. */
  readonly key: string
  readonly db: Database
  readonly redisUrl: string | undefined
  /** Where the log is shipped to. */
  readonly file: string
  readonly audit: Audit
  readonly first: ReturnType<typeof client>
  delivered(): Promise<readonly string[]>
  /** Who did it, and what was answered, in the order of the log. */
  told(action: string): Promise<unknown[]>
}

/** The end of the story: a merchant asks what is known of it, and goes. */
export function leavingStep({ key, audit, first, delivered, told, ...stores }: LeavingStage): Step {
  const { book, look, list, exported, erase } = first
  return {
    name: 'a merchant leaves: it gets all that is held of it, then nothing of what it told is in a store, and the log of who did what still verifies',
    async run() {
      const address = `Ada ${randomBytes(6).toString('hex')}, Marsh Lane`
      const places = () => placesOf(address, stores)
      const booked = await book(`${key}-8`, { merchant: 'm2', to: address })
      assert.equal(booked.status, 201)
      await until('its receiver has it', async () => (await delivered()).includes(address))
      await until('the log is shipped', async () => (await readFile(stores.file, 'utf8')).includes(`"${key}-8"`))
      assert.equal((await list('m2', '0')).status, 200)

      assert.equal((await exported('m2', 'm1')).status, 401)
      const lines = (await exported('m2', 'ops')).bytes.toString().split('\n')
      const holders = lines.filter((line) => line.includes(address)).map((line) => JSON.parse(line) as Line)
      const who = new Set(holders.map(({ holder }) => holder))
      assert.deepEqual(who, new Set(['audit', 'idempotency', 'webhooks', 'sync', 'shipments']))
      const tables = (await places()).filter((place) => /^(keelson|parcels)\.\w+$/.test(place))
      for (const name of ['keelson.sync_record', 'keelson.webhook_event', 'parcels.shipments']) {
        assert.ok(tables.includes(name), name)
      }
      for (const name of tables) assert.ok(who.has(EXPORTED_BY[name] ?? ''), name)

      assert.equal((await erase('m2', 'm1')).status, 401)
      assert.equal((await erase('m2', 'ops')).status, 200)
      assert.deepEqual(await places(), [])
      assert.equal(await look('m2', booked.headers.get('location')!), 404)
      assert.doesNotMatch((await exported('m2', 'ops')).bytes.toString(), new RegExp(address))
      await audit.flush()
      const asked = [
        ['m1', 401],
        ['ops', 200],
      ]
      assert.deepEqual(await told('merchant.erase'), asked)
      assert.deepEqual(await told('merchant.export'), [...asked, ['ops', 200]])
      const { ok, integrity, problems } = await audit.verify()
      assert.deepEqual({ ok, integrity, problems }, { ok: true, integrity: 'ok', problems: [] })
    },
  }
}

/** Of an export. */
interface Line {
  readonly holder: string
}
