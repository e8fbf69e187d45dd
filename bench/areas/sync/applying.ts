import { gzipSync } from 'node:zlib'
import type { Case, Contender, Figures } from '../../src/case.ts'
import { edited, keelson, kinds, type Device, type Kind } from './devices.ts'
import { EDITS, RECORDS } from './sizes.ts'
import { taskOf, titleOf } from './tasks.ts'

const RXDB = kinds[1]!.name

/** What a device does with what comes, and what it sends. */
export function applying(): Case[] {
  return [
    {
      name: `${RECORDS} records and ${EDITS} edits of one field come to a device`,
      note: 'from text or bytes until a read has them, all in memory, in one process without a network; a new device each time',
      base: RXDB,
      runMs: 1_000,
      contenders: kinds.map(timed),
      targets: ['records per s', 'edits per s'].map((figure) => {
        return { of: keelson.name, figure, over: RXDB, atLeast: 2 }
      }),
    },
    {
      name: `bytes of an edit of one field, ${EDITS} in one batch`,
      note: 'what the device sends, without headers, divided by the edits; as it is and gzipped',
      exact: true,
      contenders: kinds.map(weighed),
      targets: [
        { of: keelson.name, figure: 'gzip bytes', atMost: 80 },
        { of: keelson.name, figure: 'bytes', atMost: 80 },
      ],
    },
  ]
}

function timed(kind: Kind): Contender {
  return {
    name: kind.name,
    async open() {
      const { open } = await kind.prepare()
      return {
        async run(forMs): Promise<Figures> {
          const spentMs = { all: 0, edits: 0 }
          let times = 0
          do {
            const device = await open()
            spentMs.all += await timeOf(() => device.takeAll())
            await expectTitle(kind, device, RECORDS - 1, taskOf(RECORDS - 1).title)
            spentMs.edits += await timeOf(() => device.takeEdits())
            for (const n of edited) await expectTitle(kind, device, n, titleOf(1, n))
            await device.close()
            times++
          } while (spentMs.all + spentMs.edits < forMs)
          return {
            'records per s': ((times * RECORDS) / spentMs.all) * 1_000,
            'edits per s': ((times * EDITS) / spentMs.edits) * 1_000,
          }
        },
      }
    },
  }
}

async function timeOf(work: () => unknown): Promise<number> {
  const beganMs = performance.now()
  await work()
  return performance.now() - beganMs
}

async function expectTitle({ name }: Kind, device: Device, n: number, title: string): Promise<void> {
  const found = await device.title(n)
  if (found !== title) throw new Error(`${name}: record ${n} is ${JSON.stringify(found)}`)
}

function weighed(kind: Kind): Contender {
  return {
    name: kind.name,
    async open() {
      const { open } = await kind.prepare()
      const device = await open()
      await device.takeAll()
      return {
        async run() {
          const sent = await device.send()
          const bytes = typeof sent === 'string' ? Buffer.from(sent) : sent
          return { bytes: bytes.length / EDITS, 'gzip bytes': gzipSync(bytes).length / EDITS }
        },
        close: async () => void (await device.close()),
      }
    },
  }
}
