import { createShutdown } from '@keelson/resilience/shutdown'
import { readEnvironment } from './environment.ts'
import { startNode } from './node.ts'
import { openSystem } from './system.ts'

/** One node, by environment; with the argument `migrate` only the schema is brought up to date. */
async function main(): Promise<void> {
  const environment = readEnvironment(process.env)
  const system = await openSystem(environment)
  if (process.argv[2] === 'migrate') return system.close()
  const node = await startNode(system, environment).catch(async (error: unknown) => {
    await system.close()
    throw error
  })
  const { FRAMEWORK: framework, PRESTOP: preStop, DRAIN: drain } = environment
  const shutdown = createShutdown({ health: node.health, preStop, drain })
  shutdown.add('system', system)
  shutdown.add('http', node)
  shutdown.start()
  console.log(JSON.stringify({ ready: true, url: node.url, framework, pid: process.pid, stores: system.stores }))
}

main().catch((error: Error) => {
  // One line: whoever starts a service reads its log, not its stack.
  console.error(`parcels: ${error.message || String((error as { code?: unknown }).code)}`)
  process.exitCode = 1
})
