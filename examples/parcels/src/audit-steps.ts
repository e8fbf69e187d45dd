import assert from 'node:assert/strict'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import type { Audit, Entry } from '@keelson/audit'
import type { Database } from '@keelson/kernel'
import { auditor } from './auditor.ts'
import type { client } from './client.ts'
import { forge } from './forge.ts'
import { leavingStep } from './leaving-step.ts'
import { runCommand } from './node-process.ts'
import type { Step } from './step.ts'

const BOOKINGS = 'entries?action=shipment.create&actor=merchant:m1&outcome=success&order=asc&limit=1'

/** What these steps are told with. */
interface AuditStage {
  /** What the story's keys begin with. */
  readonly key: string
  readonly folder: string
  /** The public half of the key that signs the log. */
  readonly verifier: string
  readonly db: Database
  readonly redisUrl: string | undefined
  /** Where the log is shipped to. */
  readonly file: string
  readonly audit: Audit
  /** Of the node that is asked. */
  readonly url: string
  readonly first: ReturnType<typeof client>
  /** The addresses that a merchant's receiver was told of. */
  delivered(): Promise<readonly string[]>
}

/** The part of the story that auditors want to hear. */
export function auditSteps({ key, folder, verifier, audit, url, first, delivered, ...stores }: AuditStage): Step[] {
  const { db } = stores
  const { explain } = first
  const { read, copyTo } = auditor(url)

  /** Who did it, and what was answered, in the order of the log. */
  async function told(action: string): Promise<unknown[]> {
    const { items } = JSON.parse(String(await read(`entries?action=${action}&order=asc`))) as { items: Entry[] }
    return items.map(({ actor, data }) => [actor.id, data['status']])
  }

  return [
    {
      name: 'the log of who did what is for auditors: a booking with what changed; a merchant reads nothing, and no UPDATE passes',
      async run() {
        await audit.flush()
        assert.ok((await explain(`${key}-1`)).includes('audit.entry'))
        const { items } = JSON.parse(String(await read(BOOKINGS))) as { items: Entry[] }
        const [entry] = items
        assert.deepEqual([entry!.scope, entry!.actor], ['m1', { type: 'merchant', id: 'm1' }])
        assert.deepEqual(entry!.changes, [
          { path: '/kg', new: 2.5 },
          { path: '/status', new: 'booked' },
          { path: '/to' }, // nobody reads an address there
        ])
        assert.deepEqual(await told('webhooks.manage'), [
          ['m1', 201],
          ['m2', 201],
          ['m2', 202],
        ])
        assert.equal(await read(BOOKINGS, 'm1'), null)
        const update = db.query('update keelson.audit_entry set body = $2 where id = $1', [entry!.id, Buffer.of()])
        await assert.rejects(update, /an audit log only grows/)
      },
    },
    {
      name: 'an auditor takes a copy home and verifies it; in a forged one the entry that was changed is found out',
      async run() {
        const { items } = JSON.parse(String(await read(BOOKINGS))) as { items: Entry[] }
        const { id, index } = items[0]!
        const { bytes } = JSON.parse(String(await read(`entries/${id}`))) as { bytes: string }
        const [copy, forged] = [join(folder, 'copy'), join(folder, 'forged')]
        await copyTo(copy)
        await cp(copy, forged, { recursive: true })
        await forge(forged, Buffer.from(bytes, 'base64'), 'shipment.create', 'shipment.cancel')
        const verify = (dir: string) => runCommand({}, ['audit:verify', dir, verifier])
        const [good, bad] = await Promise.all([verify(copy), verify(forged)])
        assert.equal(good.code, 0, good.stderr)
        assert.equal((JSON.parse(good.stdout) as { origin: string }).origin, 'parcels.example')
        assert.equal(bad.code, 1)
        assert.match(bad.stderr, new RegExp(`entry ${index} is not the one that was sealed`))
      },
    },
    leavingStep({ key, audit, first, delivered, told, ...stores }),
  ]
}
