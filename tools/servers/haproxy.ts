/** A private haproxy in front of HTTP servers that say at a path whether they take traffic. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { demandProgram, findOrInstall, foldersOnPath, folderWith, type Found } from './find-program.ts'
import { HOST, startPrivateServer, type PrivateServer } from './private-server.ts'

const SETTINGS_FILE = 'haproxy.cfg'
const STATISTICS = '/haproxy-statistics'

/** The servers behind it. */
export interface HaproxyTargets {
  readonly ports: readonly number[]
  /** Asked every `checkMs`: one answer that is no 200 takes a server out, one takes it back. */
  readonly readinessPath: string
  readonly checkMs: number
}

/** Starts haproxy: http://host:port, round robin, no retries. Installs it on Debian as root; else throws if missing. */
export async function startHaproxy(targets: HaproxyTargets): Promise<PrivateServer> {
  const programs = await demandProgram('haproxy', findOrInstallHaproxy)
  return await startPrivateServer({
    name: 'haproxy',
    command: join(programs, 'haproxy'),
    args: (folder) => ['-db', '-f', join(folder, SETTINGS_FILE)],
    url: (port) => `http://${HOST}:${port}`,
    answers: (url) => fetch(url, { signal: AbortSignal.timeout(1_000) }),
    endSignal: 'SIGKILL',
    prepare: (folder, port) => writeFile(join(folder, SETTINGS_FILE), settingsOf(targets, port)),
  })
}

/** How many of its servers take traffic, as haproxy sees it now. */
export async function serversUp(haproxyUrl: string): Promise<number> {
  const response = await fetch(`${haproxyUrl}${STATISTICS};csv`)
  const lines = (await response.text()).split('\n')
  return lines.filter((line) => /^nodes,node\d+,.*,UP,/.test(line)).length
}

function settingsOf({ ports, readinessPath, checkMs }: HaproxyTargets, port: number): string {
  const servers = ports.map((each, i) => `  server node${i} ${HOST}:${each} check inter ${checkMs} fall 1 rise 1\n`)
  return `defaults
  mode http
  retries 0
  timeout connect 5s
  timeout check 10s
  timeout client 60s
  timeout server 60s

frontend all
  bind ${HOST}:${port}
  stats enable
  stats uri ${STATISTICS}
  default_backend nodes

backend nodes
  balance roundrobin
  option httpchk GET ${readinessPath}
  http-check expect status 200
${servers.join('')}`
}

/** Debian's folder for servers is not on everybody's PATH. */
async function findOrInstallHaproxy(): Promise<Found> {
  const find = (): string | undefined => folderWith([...foldersOnPath(), '/usr/sbin'], 'haproxy')
  return await findOrInstall({ find, debianPackage: 'haproxy' })
}
