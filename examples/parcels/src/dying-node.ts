import { behindFirstRow } from './bad-luck.ts'
import { readEnvironment } from './environment.ts'
import { startNode } from './node.ts'
import { openSystem } from './system.ts'

/**
 * A node for the story: it dies in the middle of its first booking, behind the shipment's row and in front of
 * everything else. SIGKILL: no line runs afterwards, nothing is cleaned up.
 */
const environment = readEnvironment(process.env)
const system = await openSystem(environment)
// It ships nothing: nobody gives back the lease of the dead, and the others would wait for its end.
await system.audit.stop()
const node = await startNode(
  behindFirstRow(system, () => process.kill(process.pid, 'SIGKILL')),
  environment,
)
console.log(JSON.stringify({ ready: true, url: node.url }))
