import { afterEach, describe, expect, it } from 'vitest'
import { createHttp } from '@keelson/http'
import type { PlanRoute } from '@keelson/http/conformance'
import { KeelsonModule } from '@keelson/nest'
import { sendRaw } from '../../adapters-express/test/support.ts'
import { handlers, rootOf } from './nest-subject.ts'
import { nest, platforms, start, type Running } from './platforms.ts'

/** All that the module adds to an answer; and its date. */
const ADDED = /^(x-correlation-id|x-response-time|traceparent|date): .*\r\n/gim

describe.each(platforms)(`without a policy, ${nest} on $platform answers as it would alone`, (platform) => {
  const running: Running[] = []
  afterEach(async () => {
    for (const one of running.splice(0)) await one.close()
  })
  const kinds = Object.keys(handlers) as (keyof typeof handlers)[]
  const plan = kinds
    .filter((kind) => kind !== 'echo-context')
    .map((kind): PlanRoute => ({
      kind,
      method: kind === 'head' ? 'HEAD' : 'POST',
      path: `/${kind}`,
      enter: async () => {},
      async *pieces() {
        yield* ['one', 'two', 'three']
      },
    }))

  it.each(['keelson', 'all'] as const)('on each of its routes, every byte; problems: %s', async (problems) => {
    const bare = await start(platform, rootOf(plan))
    const mounted = await start(platform, rootOf(plan, KeelsonModule.forRoot({ http: createHttp(), problems })))
    running.push(bare, mounted)
    for (const { kind, method, path } of plan) {
      if (problems === 'all' && kind.startsWith('throw')) continue
      const [plain, ours] = [await sendRaw(bare.port, { method, path }), await sendRaw(mounted.port, { method, path })]
      expect(own(ours), kind).toEqual(own(plain))
      expect(ours.toString('latin1'), kind).toMatch(/^X-Correlation-ID: /im)
    }
    expect(plan.length).toBeGreaterThan(20)
  })
})

/** Every byte but the date and what is added; between names of headers there is no order. */
function own(raw: Buffer): string[] {
  const [head = '', ...rest] = raw.toString('latin1').replaceAll(ADDED, '').split('\r\n\r\n')
  return [...head.split('\r\n').toSorted(), ...rest]
}
