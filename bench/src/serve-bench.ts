import type { AddressInfo, Server } from 'node:net'
import { serveParent } from './child.ts'

/** In the server's process, once it listens: answers what `served` asks. */
export function serveBench(server: Pick<Server, 'address'>): void {
  serveParent(({ what }: { what: 'port' | 'cpu' }) => {
    if (what === 'port') return (server.address() as AddressInfo).port
    const { user, system } = process.cpuUsage()
    return user + system
  })
}
