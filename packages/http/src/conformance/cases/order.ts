import type { Case } from '@keelson/kernel/conformance'
import type { HttpSubject } from '../http-subject.ts'
import { httpCase, route } from '../stage.ts'

/** Where the rules stand between the framework's own steps. */
export const orderCases: readonly Case<HttpSubject>[] = [
  httpCase('the framework’s authentication comes before the key', async ({ serve, key, equal }) => {
    const json = route('json', { policy: { idempotent: { required: true } } })
    const site = await serve([json])
    const nobody = [['Authorization', 'Bearer nobody'] as const]
    for (const given of [key(), 'a,b', undefined]) {
      equal((await site.call(json, given, { headers: nobody })).status, 401)
    }
    equal([json.runs, site.watched.begins], [0, 0])
  }),

  httpCase('the user is read behind authentication, the key behind the user', async (stage) => {
    const { serve, key, tenant, subject, equal } = stage
    const trace: string[] = []
    const json = route('json', {
      policy: {
        idempotent: {
          key(x) {
            trace.push(`key of ${subject.user(x)} on ${x.route}`)
            return x.header('idempotency-key')
          },
        },
      },
      onEnter: () => void trace.push('handler'),
    })
    const site = await serve([json], {
      http: {
        scope: () => tenant,
        principal(x) {
          const id = subject.user(x)
          if (!trace.includes(`user ${id}`)) trace.push(`user ${id}`)
          return id === undefined ? undefined : { id }
        },
      },
    })
    await site.call(json, key(), { headers: [['Authorization', 'Bearer ann']] })
    equal(
      trace.filter((step) => step !== 'user ann'),
      ['key of ann on /json', 'handler'],
    )
    equal(trace.includes('user ann'), true)
  }),
]
