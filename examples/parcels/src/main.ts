import { readEnvironment, type Environment } from './environment.ts'
import type { System } from './system.ts'

/**
 * One node, by environment. With the argument `migrate` only the schema is brought up to date; with `audit:verify` the
 * log of who did what is verified, or a copy of it in a folder; with `explain` one correlation id is explained.
 */
async function main(): Promise<void> {
  const environment = readEnvironment(process.env)
  const [command, ...given] = process.argv.slice(2)
  // A command loads what it needs.
  if (command === 'audit:verify') {
    const { verifyAudit } = await import('./audit-verify.ts')
    return console.log(JSON.stringify(await verifyAudit(environment, given)))
  }
  if (command === 'explain') {
    const { explain } = await import('./explain.ts')
    return console.log((await explain(environment, given)).join('\n'))
  }
  const { openSystem } = await import('./system.ts')
  const system = await openSystem(environment)
  return command === 'migrate' ? system.close() : serve(system, environment)
}

async function serve(system: System, environment: Environment): Promise<void> {
  const { createShutdown } = await import('@keelson/resilience/shutdown')
  const { startNode } = await import('./node.ts')
  const node = await startNode(system, environment).catch(async (error: unknown) => {
    await system.close()
    throw error
  })
  const { FRAMEWORK: framework, PRESTOP: preStop, DRAIN: drain } = environment
  const shutdown = createShutdown({ health: node.health, preStop, drain })
  shutdown.add('system', system)
  shutdown.add('sync', system.sync)
  shutdown.add('http', node)
  shutdown.start()
  console.log(JSON.stringify({ ready: true, url: node.url, framework, pid: process.pid, stores: system.stores }))
}

main().catch((error: Error) => {
  // One line: whoever starts a service reads its log, not its stack.
  console.error(`parcels: ${error.message || String((error as { code?: unknown }).code)}`)
  process.exitCode = 1
})
