import type { Database } from '@keelson/kernel'
import type { Environment, Framework } from './environment.ts'
import { startNodeProcess } from './node-process.ts'
import { startNode } from './node.ts'
import { openDatabase, openSystem } from './system.ts'

/** How a story's nodes are set up. */
export type Settings = Pick<Environment, 'STORE_TIMEOUT' | 'CIRCUIT_RESET_TIMEOUT' | 'BOOKINGS_PER_MINUTE'> & {
  readonly CARRIER_URL: string
}

/** The servers that a story is told on. */
export interface Servers extends Settings {
  readonly DATABASE_URL: string
  readonly REDIS_URL?: string
}

/** Nodes that share their data, and a look into their tables. */
export interface StoryNodes {
  readonly db: Database
  /** In the order of the frameworks that were asked for. */
  readonly nodes: readonly { readonly framework: Framework; readonly url: string }[]
  close(): Promise<void>
}

/** The embedded database lives in one process, which serves all nodes. */
export async function openEmbedded(settings: Settings, frameworks: readonly Framework[]): Promise<StoryNodes> {
  const system = await openSystem(settings)
  const nodes = await Promise.all(
    frameworks.map((FRAMEWORK) => startNode(system, { PORT: 0, HOST: '127.0.0.1', FRAMEWORK })),
  )
  return {
    db: system.db,
    nodes: nodes.map(({ url }, i) => ({ framework: frameworks[i]!, url })),
    async close() {
      for (const node of nodes) await node.close()
      await system.close()
    },
  }
}

/** On servers each node is a process, with a cache of its own. */
export async function openProcesses(servers: Servers, frameworks: readonly Framework[]): Promise<StoryNodes> {
  const { db, end } = await openDatabase(servers)
  const processes = await Promise.all(frameworks.map((FRAMEWORK) => startNodeProcess({ ...servers, FRAMEWORK })))
  return {
    db,
    nodes: processes.map(({ ready }, i) => ({ framework: frameworks[i]!, url: ready.url })),
    async close() {
      await Promise.all(processes.map((node) => node.end('SIGTERM')))
      await end()
    },
  }
}
