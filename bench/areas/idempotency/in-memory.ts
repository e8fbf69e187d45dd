import { createIdempotency, memoryStore, unwrap } from '@keelson/idempotency'
import { Idempotency } from '@node-idempotency/core'
import { MemoryStorageAdapter } from '@node-idempotency/storage-adapter-memory'
import type { Case, Contender, Figures } from '../../src/case.ts'
import { startChild } from '../../src/child.ts'
import { cpuTimeUs } from '../../src/cpu-time.ts'
import { ANSWER } from './subjects.ts'

const FIRST = 'keelson run(), first'
const BARE = 'bare async function'
const BODY = { order: 'o_1042', cents: 990, currency: 'eur' }
const work = async (): Promise<object> => ANSWER

/** The core without a server. */
export function inMemory(): Case[] {
  return [
    {
      name: 'a call on the memory store, one after the other',
      note: 'bare: the work alone, awaited',
      runMs: 500,
      contenders: [
        perCall(FIRST, () => {
          const call = openKeelson()
          return (i) => call(`k${i}`)
        }),
        perCall('keelson run(), replay', () => {
          const call = openKeelson()
          return () => call('k')
        }),
        perCall('@node-idempotency/core, first', () => {
          const call = openPeer()
          return (i) => call(`k${i}`)
        }),
        perCall('@node-idempotency/core, replay', () => {
          const call = openPeer()
          return () => call('k')
        }),
        perCall(BARE, () => work),
      ],
      targets: [{ of: FIRST, figure: 'cpu us', minus: BARE, atMost: 10 }],
    },
    {
      name: 'heap of a record on the memory store, over its body',
      contenders: [
        {
          name: 'keelson',
          async open() {
            const child = await startChild(new URL('heap.ts', import.meta.url), [], { execArgv: ['--expose-gc'] })
            return { run: () => child.ask<Figures>({}), close: () => child.stop() }
          },
        },
      ],
      targets: [{ of: 'keelson', figure: 'bytes', atMost: 400 }],
    },
  ]
}

/** A store of its own each run: it only grows. */
function perCall(name: string, open: () => (i: number) => Promise<unknown>): Contender {
  return {
    name,
    open: () => ({
      async run(forMs) {
        const call = open()
        const endsMs = performance.now() + forMs
        const beginsUs = cpuTimeUs()
        let i = 0
        while (performance.now() < endsMs) {
          for (const batchEnds = i + 100; i < batchEnds; i++) await call(i)
        }
        return { 'cpu us': (cpuTimeUs() - beginsUs) / i }
      },
    }),
  }
}

function openKeelson(): (key: string) => Promise<unknown> {
  const idempotency = createIdempotency({ store: memoryStore({ maxRecords: 10_000_000 }) })
  return async (key) => unwrap(await idempotency.run({ scope: 'public', op: 'pay', key, input: BODY }, work))
}

function openPeer(): (key: string) => Promise<unknown> {
  const idempotency = new Idempotency(new MemoryStorageAdapter())
  return async (key) => {
    const request = { method: 'POST', path: '/pay', headers: { 'idempotency-key': key }, body: BODY }
    const known = await idempotency.onRequest(request)
    if (known !== undefined) return known.body
    await idempotency.onResponse(request, { body: ANSWER })
    return ANSWER
  }
}
