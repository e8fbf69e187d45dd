import { elasticsearchSink } from '@keelson/audit/elasticsearch'
import type { Case, Contender, Figures, Running } from '../../src/case.ts'
import { startChild } from '../../src/child.ts'
import { cpuTimeUs } from '../../src/cpu-time.ts'
import type { Services } from '../../src/services.ts'
import { nowMs } from '../webhooks/now.ts'
import { fill, newJournal, openAudit, recordAll, type Kind } from './journals.ts'
import { fullSpeedHelper, openTelemetry, pinoElasticsearch, winstonElasticsearch, type OpenLogger } from './peers.ts'
import type { Settled, SiemQuestion } from './siem.ts'

const FILES = 'keelson, files with fsync'
const POSTGRES = 'keelson, Postgres'
const HELPER = '@elastic/elasticsearch 9.5.1, bulk helper'
const PINO = 'pino 10.4.0, pino-elasticsearch 9.0.0'
const WINSTON = 'winston 3.19.0, winston-elasticsearch 0.19.0'
const OTEL = '@opentelemetry/sdk-logs 3.1.1, OTLP'

const CALLERS = 256
const ENTRIES = 20_000
/** A peer that sends a request for each two of them has less to do. */
const FEWER = 2_000
/** Of the OpenTelemetry processor's queue: what is more is dropped. */
const QUEUE = 2_048
/** Nothing more comes. */
const QUIET_MS = 2_000
const BACKLOG = process.env['LONG'] === '1' ? 1_000_000 : 40_000

/** Ships the entries from one number to another, as fast as it can. */
interface Ships {
  ship(from: number, to: number): Promise<unknown>
  end(): Promise<unknown>
}

type OpenShips = (url: string, services: Services) => Promise<Ships> | Ships

/** From the first call until the last entry is in the index. */
function contender(services: Services, name: string, entries: number, open: OpenShips): Contender {
  return {
    name,
    async open() {
      const siem = await startChild(new URL('siem.ts', import.meta.url), [])
      const ask = <T>(question: SiemQuestion): Promise<T> => siem.ask<T>(question)
      const ships = await open(await ask<string>({ kind: 'url' }), services)
      let next = 0
      return {
        async run(forMs): Promise<Figures> {
          let shipped = 0
          let spentMs = 0
          let spentUs = 0
          do {
            await ask({ kind: 'forget' })
            const beganMs = nowMs()
            const beganUs = cpuTimeUs()
            await ships.ship(next, next + entries)
            const { count, lastMs } = await ask<Settled>({ kind: 'settled', count: entries, quietMs: QUIET_MS })
            if (count === 0) throw new Error(`${name}: nothing was shipped`)
            spentUs += cpuTimeUs() - beganUs
            spentMs += lastMs - beganMs
            shipped += count
            next += entries
          } while (spentMs < forMs)
          return { 'per s': (shipped / spentMs) * 1_000, 'main thread us': spentUs / shipped }
        },
        async close() {
          await ships.end()
          await siem.stop()
        },
      }
    },
  }
}

const keelson =
  (kind: Kind): OpenShips =>
  async (url, services) => {
    const journal = await newJournal(kind, services)
    const audit = openAudit(journal, { sinks: [elasticsearchSink({ url })] })
    await audit.start()
    return {
      async ship(from, to) {
        await recordAll(audit, CALLERS, from, to)
        await audit.flush({ to: 'shipped', timeout: '1h' })
      },
      async end() {
        await audit.close()
        await journal.remove()
      },
    }
  }

/** `atOnce`: what its queue takes before it is told to send. */
const logging =
  (open: OpenLogger, atOnce: number): OpenShips =>
  (url) => {
    const logger = open(url)
    return {
      async ship(from, to) {
        for (let n = from; n < to; n++) {
          await logger.log(n)
          if ((n + 1) % atOnce === 0 || n + 1 === to) await logger.flush?.()
        }
      },
      end: () => logger.end(),
    }
  }

/** From an application's call to the index of Elasticsearch. */
export function shipping(services: Services): Case[] {
  return [
    {
      name: 'accepted to shipped',
      note: `entries of 700 bytes until the index has them. Ours: ${CALLERS} callers of record(), durable, sealed, with ids. The helper takes documents that are ready and keeps nothing`,
      base: HELPER,
      runMs: 2_000,
      contenders: [
        contender(services, FILES, ENTRIES, keelson('files')),
        contender(services, POSTGRES, ENTRIES, keelson('Postgres')),
        contender(services, HELPER, ENTRIES, fullSpeedHelper),
        contender(services, PINO, FEWER, logging(pinoElasticsearch, ENTRIES)),
        contender(services, WINSTON, ENTRIES, logging(winstonElasticsearch, ENTRIES)),
        contender(services, OTEL, ENTRIES, logging(openTelemetry, QUEUE)),
      ],
      targets: [
        { of: FILES, figure: 'per s', over: HELPER, atLeast: 1, aim: 3 },
        { of: FILES, figure: 'per s', over: PINO, atLeast: 3 },
        { of: FILES, figure: 'per s', over: WINSTON, atLeast: 1 },
        { of: FILES, figure: 'per s', over: OTEL, atLeast: 1 },
      ],
    },
    {
      name: `a backlog of ${BACKLOG} sealed entries is shipped`,
      note: 'the SIEM was away. The helper has its documents ready',
      base: HELPER,
      runMs: 1,
      contenders: [
        backlog(services, FILES, 'files'),
        backlog(services, POSTGRES, 'Postgres'),
        contender(services, HELPER, BACKLOG, fullSpeedHelper),
      ],
      targets: [
        { of: FILES, figure: 'per s', over: HELPER, atLeast: 1.5 },
        { of: POSTGRES, figure: 'per s', over: HELPER, atLeast: 1 },
      ],
    },
  ]
}

function backlog(services: Services, name: string, kind: Kind): Contender {
  return {
    name,
    async open(): Promise<Running> {
      const siem = await startChild(new URL('siem.ts', import.meta.url), [])
      const ask = <T>(question: SiemQuestion): Promise<T> => siem.ask<T>(question)
      const url = await ask<string>({ kind: 'url' })
      return {
        async run() {
          const journal = await newJournal(kind, services)
          await fill(journal, BACKLOG)
          {
            await using sealing = openAudit(journal)
            await sealing.flush({ timeout: '1h' })
          }
          await ask({ kind: 'forget' })
          const audit = openAudit(journal, { sinks: [elasticsearchSink({ url })] })
          const beganMs = nowMs()
          const beganUs = cpuTimeUs()
          await audit.flush({ to: 'shipped', timeout: '1h' })
          const spentUs = cpuTimeUs() - beganUs
          const { count, lastMs } = await ask<Settled>({ kind: 'settled', count: BACKLOG, quietMs: QUIET_MS })
          await audit.close()
          await journal.remove()
          return { 'per s': (count / (lastMs - beganMs)) * 1_000, 'main thread us': spentUs / count }
        },
        close: () => siem.stop(),
      }
    },
  }
}
