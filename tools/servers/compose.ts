/** The test servers from Docker: way 4 of services.ts. Containers outlive a killed test run; data is in memory. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const LOOK_TIMEOUT_MS = 10_000
const UP_TIMEOUT_MS = 300_000 // pulls an image
const file = fileURLToPath(new URL('compose.yaml', import.meta.url))

const SERVICES = {
  postgres: { port: 5432, url: (address: string) => `postgres://postgres@${address}/postgres` },
  redis: { port: 6379, url: (address: string) => `redis://${address}` },
} as const

/** A service of compose.yaml. */
export type ServiceName = keyof typeof SERVICES

/** Services of compose.yaml, up and healthy. */
export interface Composed {
  /** In the order they were asked for. */
  readonly urls: readonly string[]
  /** Removes the containers. */
  stop(): Promise<void>
}

/** Whether a Docker daemon and its compose plugin answer within 10 s. */
export async function dockerAnswers(): Promise<boolean> {
  try {
    await docker(['info'], LOOK_TIMEOUT_MS)
    await docker(['compose', 'version'], LOOK_TIMEOUT_MS)
    return true
  } catch {
    return false
  }
}

/** Starts services and waits until they are healthy. Throws with Docker's own words. */
export async function startComposed(names: readonly ServiceName[]): Promise<Composed> {
  const compose = ['compose', '--file', file, '--project-name', `keelson-${process.pid}`]
  const stop = async (): Promise<void> => void (await docker([...compose, 'down', '--volumes'], UP_TIMEOUT_MS))
  const urlOf = async (name: ServiceName): Promise<string> => {
    const { port, url } = SERVICES[name]
    return url((await docker([...compose, 'port', name, String(port)], LOOK_TIMEOUT_MS)).trim())
  }
  try {
    await docker([...compose, 'up', '--detach', '--wait', ...names], UP_TIMEOUT_MS)
    return { urls: await Promise.all(names.map(urlOf)), stop }
  } catch (error) {
    await stop().catch(() => {}) // the first failure is the one to tell
    throw error
  }
}

async function docker(args: string[], timeout: number): Promise<string> {
  return (await promisify(execFile)('docker', args, { timeout })).stdout
}
