/** A process that ends by a signal. Its argument names what its parts do; each step is a line on stdout. */
import { createServer } from 'node:http'
import { systemClock } from '@keelson/kernel'
import { createHealth } from '../../src/health/index.ts'
import { createShutdown, type Part, type ShutdownOptions } from '../../src/shutdown/index.ts'

const say = (what: string): void => void process.stdout.write(`${what}\n`)
const hangs = (what: string) => () => {
  say(what)
  return new Promise(() => {})
}

const SCENES: Record<string, { options?: ShutdownOptions; part: Part }> = {
  good: { part: { drain: () => systemClock.sleep(50), close: () => say('part closes') } },
  'hangs in close': { options: { hardLimit: 6_000 }, part: { close: hangs('part closes') } },
  'hangs in drain': {
    options: { drain: 2_000 },
    part: { drain: hangs('part drains'), close: () => say('part closes') },
  },
  throws: {
    part: {
      close() {
        say('part closes')
        throw new Error('no')
      },
    },
  },
  'hangs for long': { options: { drain: '1h', hardLimit: '1d' }, part: { drain: hangs('part drains') } },
}

const { options, part } = SCENES[process.argv[2]!]!
const health = createHealth()
const logger = {
  debug() {},
  info: (fields: object, message: string) => say(JSON.stringify({ message, ...fields, ms: undefined })),
  warn() {},
  error: ({ part, err }: { part?: string; err?: Error }) => say(part ? `stuck: ${part}` : `cut: ${err?.message}`),
}
const shutdown = createShutdown({ health, logger, ...options })

// Something that keeps the process alive until it is closed.
const server = createServer().listen(0, '127.0.0.1', () => {
  health.started()
  shutdown.add('server', {
    async drain() {
      const { status, reason } = await health.readiness()
      say(`server drains while ${status}: ${reason}`)
    },
    close() {
      say('server closes')
      server.close()
    },
  })
  shutdown.add('part', part)
  shutdown.start()
  shutdown.start()
  say('up')
})
process.on('exit', (code) => say(`exit ${code}`))
