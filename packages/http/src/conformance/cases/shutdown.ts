import type { Case } from '@keelson/kernel/conformance'
import { keepAlive } from '../client.ts'
import type { HttpSubject } from '../http-subject.ts'
import { httpCase, route } from '../stage.ts'

/** The adapter's part of a shutdown. */
export const shutdownCases: readonly Case<HttpSubject>[] = [
  httpCase(
    'draining lets answers in flight end, closes their connections and idle ones, and takes no new ones',
    async ({ serve, equal, ok, until }) => {
      const entered = Promise.withResolvers<void>()
      const go = Promise.withResolvers<void>()
      const slow = route('json', {
        path: '/slow',
        onEnter() {
          entered.resolve()
          return go.promise
        },
      })
      const site = await serve([slow, route('json')])
      ok(site.served.drain !== undefined, "a subject that has 'shutdown' gives drain()")
      const idle = keepAlive(site.url)
      equal((await idle.send({ method: 'POST', path: '/json' })).status, 201)
      const busy = keepAlive(site.url)
      const answer = busy.send({ method: 'POST', path: '/slow' })
      await entered.promise
      let isDrained = false
      const drained = site.served.drain!(new AbortController().signal).then(() => (isDrained = true))
      await until('the idle connection is closed', () => idle.isClosed())
      await until('new connections are refused', () =>
        site.send({ path: '/json' }).then(({ status }) => Number.isNaN(status)),
      )
      ok(!isDrained, 'one is in flight')
      go.resolve()
      const { status, header } = await answer
      equal([status, header('connection')?.toLowerCase()], [201, 'close'])
      await drained
    },
    'shutdown',
  ),
]
