/**
 * Loaded in front of a node (`--import`): it says on stderr how long each request took of the time in which this process
 * could run, by its correlation id. What a busy machine takes from it does not count.
 */
import { subscribe } from 'node:diagnostics_channel'
import type { IncomingMessage } from 'node:http'
import { awakeMs } from '../../../../tools/awake-clock.ts'

const beganMs = new WeakMap<object, number>()

subscribe('http.server.request.start', (message) => {
  beganMs.set((message as { request: IncomingMessage }).request, awakeMs())
})
subscribe('http.server.response.finish', (message) => {
  const { request } = message as { request: IncomingMessage }
  const tookMs = awakeMs() - beganMs.get(request)!
  process.stderr.write(`answered ${request.headers['x-correlation-id']} ${tookMs}\n`)
})
