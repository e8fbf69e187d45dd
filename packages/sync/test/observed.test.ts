import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, expect, onTestFinished, test } from 'vitest'
import { context } from '@keelson/kernel'
import { text as prometheusText } from '@keelson/kernel/prometheus'
import { promtoolFaults } from '../../../tools/servers/promtool.ts'
import { ann, newStores, openDevice, openSync } from './open-sync.ts'

const task = { team: '1', title: 'PRIVATE-TITLE', done: false }

describe.each(Object.entries(newStores))('watching it on %s', (_, newStore) => {
  test('each channel fires, with names and counts, and no value', async () => {
    const heard: Record<string, object[]> = {}
    for (const channel of ['push', 'pull', 'apply', 'change']) {
      const name = `tracing:keelson:sync:${channel}:asyncEnd`
      const listen = (message: object): void => {
        const { result: _result, ...details } = message as { result?: unknown }
        ;(heard[channel] ??= []).push(details)
      }
      subscribe(name, listen as never)
      onTestFinished(() => void unsubscribe(name, listen as never))
    }
    await using sync = openSync({ store: await newStore(), task: { apply: async () => {} } })
    const device = openDevice(sync, ann, 'd1')
    await device.push(device.op('t1', 'put', { set: task }), device.op('t2', 'patch', { set: task }))
    await device.pull()
    await sync.write([{ c: 'task', x: { t: 'delete', id: 't1' }, scope: 'acme/team:1' }])
    expect(heard).toEqual({
      push: [{ client: 'd1', ops: 2 }],
      apply: [{ collection: 'task', wins: 1 }],
      pull: [{ client: 'd1' }],
      change: [{ changes: 1 }],
    })
  })

  test('metrics pass promtool and tell what was done; inspect and trace answer', async () => {
    await using sync = openSync({ store: await newStore() })
    const device = openDevice(sync, ann, 'd1')
    const ops = [device.op('t1', 'put', { set: task }), device.op('t2', 'patch', { set: { title: 'no such task' } })]
    await context.run({ correlationId: 'c-7' }, () => sync.push(ann, { v: 1, client: 'd1', sentAt: Date.now(), ops }))
    await device.pull()
    await sync.pull(ann, { v: 1, cursor: device.cursor })
    await sync.write([{ c: 'task', x: { t: 'delete', id: 't1' }, scope: 'acme/team:1' }])
    await sync.rebase()
    await expect(sync.pull(ann, { v: 1, cursor: device.cursor })).rejects.toMatchObject({ code: 'EPOCH_CHANGED' })

    const page = prometheusText(sync)
    expect(await promtoolFaults(page)).toEqual([])
    for (const line of [
      'keelson_sync_ops_total{collection="task",status="applied"} 1',
      'keelson_sync_ops_total{collection="task",status="conflict"} 1',
      'keelson_sync_op_conflicts_total{code="gone",collection="task"} 1',
      'keelson_sync_pulls_total{mode="snapshot"} 1',
      'keelson_sync_pulls_total{mode="delta"} 1',
      'keelson_sync_resync_total{reason="EPOCH_CHANGED"} 1',
      'keelson_sync_push_seconds_count 1',
      'keelson_sync_pull_seconds_count 2',
      'keelson_sync_drift_seconds_count 1',
      'keelson_sync_waiters 0',
    ])
      expect(page).toContain(`\n${line}\n`)

    expect(await sync.inspect()).toMatchObject({
      name: 'sync',
      state: 'ok',
      counts: { records: 0, tombstones: 1, ops: 2, openConflicts: 1, waiters: 0 },
      horizonAgeMs: null,
    })
    const traced = await sync.trace('c-7')
    expect(traced.map(({ kind, text }) => [kind, text]).toSorted()).toEqual([
      ['sync.op', `operation ${ops[0]!.op} of d1: applied`],
      ['sync.op', `operation ${ops[1]!.op} of d1: conflict (gone)`],
    ])
    expect(await sync.trace('nul \0')).toEqual([])
    expect(JSON.stringify(traced)).not.toContain('PRIVATE')
  })
})
