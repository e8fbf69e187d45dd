import type { Contender, Figures } from './case.ts'
import { startChild } from './child.ts'
import { loadOverHttp, type Requests } from './keep-alive-load.ts'

/** What runs a server, and what it is asked. */
export interface Served extends Omit<Requests, 'port'> {
  /** A script that answers its parent the messages `{ what: 'port' }` and `{ what: 'cpu' }`; see `serveBench`. */
  readonly script: URL
  readonly args: readonly string[]
  readonly cwd?: string
}

/** A server in a process of its own, under load over real sockets. `cpu us`: its own processor time a request. */
export function served(name: string, open: (parts: AsyncDisposableStack) => Promise<Served> | Served): Contender {
  return {
    name,
    async open() {
      await using opened = new AsyncDisposableStack()
      const { script, args, cwd, ...requests } = await open(opened)
      const app = await startChild(script, [...args], cwd === undefined ? {} : { cwd })
      opened.defer(() => app.stop())
      const port = await app.ask<number>({ what: 'port' })
      const parts = opened.move()
      return {
        async run(forMs): Promise<Figures> {
          const beforeUs = await app.ask<number>({ what: 'cpu' })
          const { figures, answered } = await loadOverHttp({ ...requests, port }, forMs)
          const cpuUs = (await app.ask<number>({ what: 'cpu' })) - beforeUs
          return { ...figures, 'cpu us': cpuUs / answered }
        },
        close: () => parts.disposeAsync(),
      }
    },
  }
}
