/** What Postgres, pgbouncer and Redis share: a folder, a port, a guard, and ways to hurt the server. */
import { rm } from 'node:fs/promises'
import { freePort } from './free-port.ts'
import { guardOrphans } from './orphan-guard.ts'
import { startProcess, type ServerProcess } from './server-process.ts'
import { makeServerFolder, serverUser, type ServerUser } from './server-user.ts'

/** Where all private servers listen. */
export const HOST = '127.0.0.1'
const PORT_TRIES = 5

/** What `startPrivateServer` needs. */
export interface PrivateServerOptions {
  /** Names its folder and log: 'postgres'. */
  name: string
  command: string
  args: (folder: string, port: number) => readonly string[]
  url: (port: number) => string
  /** One bounded try to use it. Rejects too when another process's server has won the port, and answers well. */
  answers: (url: string, folder: string) => Promise<unknown>
  /** Ends it in order. */
  endSignal: NodeJS.Signals
  /** Fills the folder, before the first start on a port: once, unless another process wins that port. */
  prepare: (folder: string, port: number, user: ServerUser) => Promise<void>
}

/** A running server on loopback, in a temp folder. */
export interface PrivateServer extends AsyncDisposable {
  readonly url: string
  readonly host: string
  /** Stays the same over restarts. */
  readonly port: number
  /** Of the server's first process; changes with a restart. */
  readonly pid: number
  /** Stops every process of the server: connections stay open, new ones are accepted by the kernel, nobody answers. */
  freeze(): void
  thaw(): void
  /** SIGKILL to every process of the server, sent before this returns; resolves when they are gone. The folder stays. */
  kill(): Promise<void>
  /** Starts again on the same port and folder, after an orderly end if the server still runs. */
  restart(): Promise<void>
  /** Ends the server and removes its folder. Repeatable. */
  stop(): Promise<void>
}

/** Starts a server on a free port, in a new folder. Throws when it does not start, with the tail of its log. */
export async function startPrivateServer(o: PrivateServerOptions): Promise<PrivateServer> {
  const user = serverUser()
  const folder = await makeServerFolder(`keelson-${o.name}-`, user)
  const guard = guardOrphans(folder)
  const { name, command } = o
  const start = (port: number): Promise<ServerProcess> => {
    const answers = (): Promise<unknown> => o.answers(o.url(port), folder)
    return startProcess({ name, command, args: o.args(folder, port), user, folder, guard, answers })
  }
  const clean = async (): Promise<void> => {
    guard.dismiss()
    // Processes of a browser outlive it for a moment, and write.
    await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  }

  let port = 0
  let server: ServerProcess
  try {
    const first = async (port: number): Promise<ServerProcess> => {
      await o.prepare(folder, port, user)
      return await start(port)
    }
    ;[port, server] = await onFreePort(first)
  } catch (error) {
    await clean()
    throw error
  }

  const stop = async (): Promise<void> => {
    await server.end(o.endSignal)
    await clean()
  }
  return {
    url: o.url(port),
    host: HOST,
    port,
    get pid() {
      return server.pid
    },
    freeze: () => server.freeze(),
    thaw: () => server.thaw(),
    kill: () => server.kill(),
    restart: async () => {
      await server.end(o.endSignal)
      server = await start(port)
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/** Between the look and the start another process may take the port. */
async function onFreePort(start: (port: number) => Promise<ServerProcess>): Promise<[number, ServerProcess]> {
  for (let tries = 1; ; tries++) {
    const port = await freePort()
    try {
      return [port, await start(port)]
    } catch (error) {
      if (tries === PORT_TRIES || !String(error).includes('Address already in use')) throw error
    }
  }
}
