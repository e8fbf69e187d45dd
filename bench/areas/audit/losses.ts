import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { generateKey } from '@keelson/audit'
import type { Case, Contender, Figures } from '../../src/case.ts'
import { startChild } from '../../src/child.ts'
import type { Services } from '../../src/services.ts'
import { isPoison } from './entry.ts'
import { newJournal, type Journal } from './journals.ts'
import type { LoggerKind, LossAnswer, LossQuestion } from './loss-process.ts'
import type { Settled, SiemFault, SiemQuestion } from './siem.ts'

const OUTAGE_MS = process.env['LONG'] === '1' ? 10_000 : 2_000
const BEFORE_MS = 700
const AFTER_MS = 500
/** Behind the orderly end of a logger nothing comes that it knew of. */
const QUIET_MS = 1_000

/** What happens to the application or to its SIEM. */
type Event = 'kill9' | 'exit' | SiemFault

const EVENTS: readonly (readonly [Event, string])[] = [
  ['kill9', 'the application is killed, and started again'],
  ['exit', 'the application calls process.exit(), and is started again'],
  ['down', `the SIEM refuses connections for ${OUTAGE_MS / 1_000} s`],
  ['hang', `the SIEM takes requests and answers none for ${OUTAGE_MS / 1_000} s, then it is started again`],
  ['ackloss', 'the answer to every third request is lost'],
  ['items429', 'one of five entries is refused with 429 at first'],
  ['poison', 'one of a hundred entries is never taken: it is no loss when it is kept, and for peers none at all'],
]

const CONTENDERS: readonly (readonly [LoggerKind, string])[] = [
  ['files', 'keelson, files with fsync'],
  ['Postgres', 'keelson, Postgres'],
  ['helper', '@elastic/elasticsearch 9.5.1, bulk helper'],
  ['pino', 'pino 10.4.0, pino-elasticsearch 9.0.0'],
  ['winston', 'winston 3.19.0, winston-elasticsearch 0.19.0'],
  ['otel', '@opentelemetry/sdk-logs 3.1.1, OTLP'],
]

/** What was accepted and is not in the index, and what is there twice. */
export function losses(services: Services): Case[] {
  return EVENTS.map(([event, note]): Case => ({
    name: `lost and twice: ${event}`,
    note,
    exact: true,
    contenders: CONTENDERS.map(([kind, name]) => contender(services, kind, name, event)),
    targets: CONTENDERS.filter(([kind]) => kind === 'files' || kind === 'Postgres').flatMap(([, of]) => [
      { of, figure: 'lost', atMost: 0 },
      { of, figure: 'twice', atMost: 0 },
    ]),
  }))
}

function contender(services: Services, kind: LoggerKind, name: string, event: Event): Contender {
  return {
    name,
    open: () => ({
      async run(): Promise<Figures> {
        const siem = await startChild(new URL('siem.ts', import.meta.url), ['keeps'])
        const place = await openPlace(kind, services)
        try {
          return await measured(kind, event, place.text, <T>(question: SiemQuestion) => siem.ask<T>(question))
        } finally {
          await place.journal?.remove()
          await siem.stop()
        }
      },
    }),
  }
}

/** Where a journal of ours is, as an application in another process is told. */
async function openPlace(kind: LoggerKind, services: Services): Promise<{ text: string; journal?: Journal }> {
  if (kind !== 'files' && kind !== 'Postgres') return { text: '-' }
  const journal = await newJournal(kind, services)
  return { text: kind === 'files' ? journal.dir : `${await services.databaseUrl()} ${journal.schema}`, journal }
}

async function measured(
  kind: LoggerKind,
  event: Event,
  place: string,
  ask: <T>(question: SiemQuestion) => Promise<T>,
): Promise<Figures> {
  const url = await ask<string>({ kind: 'url' })
  const key = generateKey('bench.example/audit').signer
  const start = (logs: 'logs' | 'rests') => startApplication([kind, url, place, key, logs])
  const first = await start('logs')
  let buried = 0
  if (event === 'kill9' || event === 'exit') {
    await sleep(BEFORE_MS + OUTAGE_MS / 2)
    await (event === 'exit' ? first.exit() : first.kill())
    buried = await finished(() => start('rests'))
  } else {
    const isShort = event === 'down' || event === 'hang'
    if (isShort) await sleep(BEFORE_MS)
    await ask({ kind: 'fault', fault: event, on: true })
    await sleep(OUTAGE_MS)
    if (isShort) await ask({ kind: 'fault', fault: event, on: false })
    await sleep(AFTER_MS)
    buried = await finished(() => start('rests'), first)
  }
  const accepted = first.accepted()
  await ask<Settled>({ kind: 'settled', count: Infinity, quietMs: QUIET_MS })
  const numbers = await ask<readonly number[]>({ kind: 'numbers' })
  const arrived = new Set(numbers)
  const missing = accepted.filter((n) => !arrived.has(n) && !(event === 'poison' && isPoison(n)))
  const isOurs = kind === 'files' || kind === 'Postgres'
  const unkept = event === 'poison' && isOurs ? accepted.filter(isPoison).length - buried : 0
  return { accepted: accepted.length, lost: missing.length + unkept, twice: numbers.length - arrived.size }
}

/** An application that failed to end in order is started again, as anybody would: so often. */
const STARTS = 3

async function finished(start: () => Promise<Application>, first?: Application): Promise<number> {
  let application = first ?? (await start())
  for (let left = STARTS; ; left--) {
    const buried = await application.finish()
    if (buried !== undefined) return buried
    if (left === 0) return 0
    application = await start()
  }
}

/** An application in a process that may die. */
interface Application {
  accepted(): readonly number[]
  /** Lets it end in order; answers how many dead letters it has, undefined if it died. */
  finish(): Promise<number | undefined>
  exit(): Promise<void>
  kill(): Promise<void>
}

async function startApplication(args: readonly string[]): Promise<Application> {
  const child = fork(new URL('loss-process.ts', import.meta.url), args, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
  const said: Buffer[] = []
  child.stderr!.on('data', (chunk: Buffer) => said.push(chunk))
  const accepted: number[] = []
  let buried: number | undefined
  const ready = Promise.withResolvers<void>()
  child.on('message', (answer: LossAnswer) => {
    if (answer.kind === 'accepted') accepted.push(answer.n)
    else if (answer.kind === 'finished') buried = answer.buried
    else ready.resolve()
  })
  const ended = once(child, 'close')
  ended
    .then(() => ready.reject(new Error(`an application did not start: ${Buffer.concat(said).toString()}`)))
    .catch(() => {})
  await ready.promise
  const send = (question: LossQuestion): void => {
    if (child.connected) child.send(question, () => {})
  }
  return {
    accepted: () => accepted,
    async finish() {
      send({ kind: 'finish' })
      await ended
      if (process.env['DEBUG_LOSS'] && buried === undefined) console.error(Buffer.concat(said).toString())
      return buried
    },
    async exit() {
      send({ kind: 'exit' })
      await ended
    },
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
  }
}
