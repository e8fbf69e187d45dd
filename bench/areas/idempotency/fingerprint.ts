import { createHash, hash } from 'node:crypto'
import { fingerprintOf } from '@keelson/idempotency'
import type { Case, Contender } from '../../src/case.ts'
import { cpuTimeUs } from '../../src/cpu-time.ts'

const KEELSON = 'keelson fingerprintOf'
const RAW = 'sha256 of the raw bytes'

/** An order with many lines, its members in no order: 1 MB of JSON. */
const input = {
  order: 'o_1042',
  currency: 'eur',
  lines: Array.from({ length: 6_400 }, (_, i) => ({
    sku: `tea-${i}`,
    quantity: i % 7,
    price: { currency: 'eur', cents: 990 + i, 'tax rate': 0.19 },
    notes: ['gift wrap', 'Ünïcode €'],
    id: i,
    backordered: i % 3 === 0,
    attributes: { color: 'green', weight: i / 8 },
  })),
}
const text = JSON.stringify(input)
const bytes = Buffer.from(text)

/** What it costs not to care for the order of members. */
export function fingerprints(): Case[] {
  return [
    {
      name: `fingerprint of ${(bytes.length / 1e6).toFixed(2)} MB of JSON`,
      note: 'naive: a recursion that sorts members, JSON.stringify, sha256',
      base: RAW,
      runMs: 500,
      contenders: [
        each(KEELSON, () => fingerprintOf(input)),
        each('naive', () =>
          createHash('sha256')
            .update(JSON.stringify(sorted(input)))
            .digest(),
        ),
        each('JSON.stringify and sha256, order kept', () => hash('sha256', JSON.stringify(input))),
        each(RAW, () => hash('sha256', bytes)),
      ],
      targets: [{ of: KEELSON, figure: 'cpu ms', over: RAW, atMost: 8 }],
    },
  ]
}

function each(name: string, make: () => unknown): Contender {
  return {
    name,
    open: () => ({
      run(forMs) {
        const endsMs = performance.now() + forMs
        const beginsUs = cpuTimeUs()
        let count = 0
        for (; count === 0 || performance.now() < endsMs; count++) make()
        return { 'cpu ms': (cpuTimeUs() - beginsUs) / count / 1000 }
      },
    }),
  }
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const members = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(members.map(([name, member]) => [name, sorted(member)]))
}
