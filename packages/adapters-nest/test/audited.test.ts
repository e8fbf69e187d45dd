import { Module } from '@nestjs/common'
import { describe, expect, it } from 'vitest'
import { createHttp } from '@keelson/http'
import { KeelsonModule } from '@keelson/nest'
import { until } from '../../../tools/servers/until.ts'
import { createAudit, entriesOf, memoryStore } from '../../http/test/audit.ts'
import { send } from '../../http/test/wire.ts'
import { Orders } from './audited.nest.ts'
import { nest, platforms, start } from './platforms.ts'

describe.each(platforms)(`audited on ${nest} on $platform`, (platform) => {
  it('what guards, pipes and the handler answer is told of', async () => {
    const audit = createAudit({ store: memoryStore(), storeTimeout: '10s' })
    const principal = (user: string | undefined) => (user === undefined ? undefined : { id: user })
    const http = createHttp({
      audit,
      scope: () => 'acme',
      principal: (x) => principal(x.header('authorization')),
    })
    class App {}
    Module({ imports: [KeelsonModule.forRoot({ http, components: { audit } })], controllers: [Orders] })(App)
    const { port, close } = await start(platform, App)
    const ask = async (path: string, user?: string): Promise<number> =>
      (await send(port, { method: 'POST', path, headers: user === undefined ? [] : [['Authorization', user]] })).status
    const told = async (): Promise<unknown[]> =>
      (await entriesOf(audit)).map(({ action, actor, outcome, data }) => [actor.id, action, outcome, data['status']])

    const asked = [await ask('/orders/7'), await ask('/orders/x', 'ann'), await ask('/orders/7', 'ann')]
    expect(asked).toEqual([401, 400, 201])
    await until('all entries', 60_000, async () => ((await told()).length === 3 ? true : undefined))
    expect((await told()).toSorted()).toEqual([
      ['ann', 'order.create', 'failure', 400],
      ['ann', 'order.create', 'success', 201],
      ['anonymous', 'order.create', 'failure', 401],
    ])
    await close()
    await audit.close()
  })
})
