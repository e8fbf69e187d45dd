import type { Audit } from '@keelson/audit'
import { postgresStore as postgresAudit } from '@keelson/audit/postgres'
import type { Database } from '@keelson/kernel'
import { openAudit } from './audit.ts'
import type { Environment, Framework } from './environment.ts'
import { startNodeProcess } from './node-process.ts'
import { startNode } from './node.ts'
import { openDatabase, openSystem, type System } from './system.ts'

/** How a story's nodes are set up. */
export type Settings = Pick<
  Environment,
  'STORE_TIMEOUT' | 'CIRCUIT_RESET_TIMEOUT' | 'BOOKINGS_PER_MINUTE' | 'LOG_LEVEL'
> & {
  readonly CARRIER_URL: string
  readonly CARRIER_SECRET: string
  readonly WEBHOOK_KEY: string
  readonly WEBHOOK_ALLOW: string
  readonly AUDIT_KEY: string
  readonly PRIVACY_KEY: string
  readonly AUDIT_LOG: string
  readonly AUDIT_FILE: string
}

/** The servers that a story is told on. */
export interface Servers extends Settings {
  readonly DATABASE_URL: string
  readonly REDIS_URL?: string
}

/** Nodes that share their data, and a look into their tables. */
export interface StoryNodes {
  readonly db: Database
  /** Their log of who did what. */
  readonly audit: Audit
  /** In the order of the frameworks that were asked for. */
  readonly nodes: readonly { readonly framework: Framework; readonly url: string }[]
  /** One more system on the same data, for a node that is going to have bad luck. */
  openAnother(): Promise<System>
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
    audit: system.audit,
    nodes: nodes.map(({ url }, i) => ({ framework: frameworks[i]!, url })),
    // Two of them would destroy the embedded database.
    openAnother: async () => ({ ...system, close: async () => {} }),
    async close() {
      for (const node of nodes) await node.close()
      await system.close()
    },
  }
}

/** On servers each node is a process, with a cache of its own. */
export async function openProcesses(servers: Servers, frameworks: readonly Framework[]): Promise<StoryNodes> {
  const { db, end } = await openDatabase(servers)
  const audit = openAudit({ ELASTICSEARCH_URL: undefined, ...servers }, postgresAudit(db))
  const processes = await Promise.all(frameworks.map((FRAMEWORK) => startNodeProcess({ ...servers, FRAMEWORK })))
  return {
    db,
    audit,
    nodes: processes.map(({ ready }, i) => ({ framework: frameworks[i]!, url: ready.url })),
    openAnother: () => openSystem(servers),
    async close() {
      await Promise.all(processes.map((node) => node.end('SIGTERM')))
      await audit.close()
      await end()
    },
  }
}
