import { fileStore } from '../../src/file/index.ts'
import { createAudit } from '../../src/index.ts'
import { syslogSink } from '../../src/syslog/index.ts'

const WRITERS = 8

/** Records, seals and ships to a syslog server until it is killed; tells what was acknowledged. */
const { DIR = '', KEY = '', CA = '', PORT = '' } = process.env
const audit = createAudit({
  store: fileStore({ dir: DIR, appendTimeout: '60s' }),
  key: KEY,
  checkpoint: { interval: 20 },
  sinks: [syslogSink({ host: '127.0.0.1', port: Number(PORT), tls: { ca: CA }, flush: 10, maxBatchEntries: 200 })],
})
await audit.start()

async function write(writer: number): Promise<never> {
  for (let n = 0; ; n++) {
    const data = { n, text: `é 漢 🦔 \u007f %00 "]\\ ${'x'.repeat(n % 700)}` }
    const actor = { type: 'user', id: `u_${writer}` }
    process.send!({ acked: [(await audit.record({ scope: 'a "scope]', action: 'order.create', actor, data })).id] })
  }
}
await Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer)))
