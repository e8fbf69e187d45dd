/** A process that calls `process.argv[2]` and forgets the answer: it ends by itself, or collects its garbage for ever. */
import { resilientFetch } from '../../src/fetch/index.ts'

const [, , url = '', task] = process.argv
const up = resilientFetch({
  name: 'up',
  retry: true,
  limit: 10,
  attempt: '10m',
  deadline: '10m',
  bodyIdle: task === 'forget' ? '1s' : '10m',
})

/** In a frame of its own, so that nothing of it stays on the stack. */
async function forget(): Promise<number> {
  return (await up(url)).status
}

process.stdout.write(`${await forget()}\n`)
// The engine remembers its last call until the next.
await up('data:,next')
if (task === 'forget') setInterval(() => globalThis.gc!(), 50)
