/** A private rsyslog that takes RFC 5424 over TLS (RFC 5425) and writes down what it read, byte by byte. */
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { certificates } from '../certificates.ts'
import { demandProgram, findOrInstall, foldersOnPath, folderWith, type Found } from './find-program.ts'
import { HOST, startPrivateServer, type PrivateServer } from './private-server.ts'

const SETTINGS_FILE = 'rsyslog.conf'
const MESSAGES = 'messages'
const ANSWER_MS = 2_000
/** Below a folder such as /usr/lib/x86_64-linux-gnu. */
const DRIVER = 'rsyslog/lmnsd_ossl.so'

/** A running rsyslog; `url` is only a name. */
export interface RsyslogServer extends PrivateServer {
  /** The authority that signed its certificate, in PEM. */
  readonly ca: string
  /**
   * What it wrote, a message a line: the structured data as rsyslog reads them, in JSON, a tab, and MSG. A line that
   * was torn by a kill may stand in front of one that is whole.
   */
  messages(): Promise<{ readonly data: Readonly<Record<string, Record<string, string>>>; readonly msg: Buffer }[]>
}

/** Starts rsyslog on loopback. Installs it on Debian as root; else throws if it is missing. */
export async function startRsyslog(): Promise<RsyslogServer> {
  const programs = await demandProgram('rsyslog', findOrInstallRsyslog)
  const { ca, pairs } = certificates({ server: { names: `IP:${HOST}`, days: 2 } })
  let file = ''
  const server = await startPrivateServer({
    name: 'rsyslog',
    command: join(programs, 'rsyslogd'),
    args: (folder) => ['-n', '-f', join(folder, SETTINGS_FILE), '-i', join(folder, 'rsyslog.pid')],
    url: (port) => `syslog+tls://${HOST}:${port}`,
    answers: async (url) => {
      // Its own authority: a server of somebody else is not taken for it.
      const socket = connect({ host: HOST, port: Number(url.split(':').at(-1)), ca })
      try {
        await once(socket, 'secureConnect', { signal: AbortSignal.timeout(ANSWER_MS) })
      } finally {
        socket.destroy()
      }
    },
    endSignal: 'SIGTERM',
    async prepare(folder, port) {
      file = join(folder, MESSAGES)
      await writeFile(join(folder, 'ca.pem'), ca)
      await writeFile(join(folder, 'cert.pem'), pairs.server.cert)
      await writeFile(join(folder, 'key.pem'), pairs.server.key)
      await writeFile(join(folder, SETTINGS_FILE), settingsOf(folder, port))
    },
  })
  return Object.assign(server, { ca, messages: () => messagesIn(file) })
}

/**
 * A message of the largest entry has more than the 8 kB of the default; control characters (U+007F in JSON) stay as they
 * are. Without a queue between socket and file: what was read is written before more is read.
 */
function settingsOf(folder: string, port: number): string {
  return `global(
  workDirectory="${folder}"
  maxMessageSize="128k"
  parser.escapeControlCharactersOnReceive="off"
  net.enableDNS="off"
  defaultNetstreamDriver="ossl"
  defaultNetstreamDriverCAFile="${folder}/ca.pem"
  defaultNetstreamDriverCertFile="${folder}/cert.pem"
  defaultNetstreamDriverKeyFile="${folder}/key.pem"
)
module(load="mmpstrucdata")
module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="anon")
template(name="line" type="list") {
  property(name="$!rfc5424-sd")
  constant(value="\\t")
  property(name="msg")
  constant(value="\\n")
}
ruleset(name="all" queue.type="Direct") {
  action(type="mmpstrucdata" sd_name.lowercase="off")
  action(type="omfile" file="${folder}/${MESSAGES}" template="line" asyncWriting="off" flushOnTXEnd="on")
}
input(type="imtcp" address="${HOST}" port="${port}" ruleset="all")
`
}

async function messagesIn(file: string): ReturnType<RsyslogServer['messages']> {
  const text = await readFile(file, 'latin1').catch(() => '')
  // The last piece is empty, or a line that is being written.
  const lines = text.split('\n').slice(0, -1)
  return lines.map((torn) => {
    const line = torn.slice(torn.lastIndexOf('{ "keelson@'))
    const tab = line.indexOf('\t')
    const data = JSON.parse(Buffer.from(line.slice(0, tab), 'latin1').toString()) as Record<
      string,
      Record<string, string>
    >
    return { data, msg: Buffer.from(line.slice(tab + 1), 'latin1') }
  })
}

/** Debian's folder for servers is not on everybody's PATH; the package of the TLS driver brings the server along. */
async function findOrInstallRsyslog(): Promise<Found> {
  const hasDriver = (): boolean =>
    readdirSync('/usr/lib').some((triplet) => existsSync(join('/usr/lib', triplet, DRIVER)))
  const find = (): string | undefined =>
    hasDriver() ? folderWith([...foldersOnPath(), '/usr/sbin'], 'rsyslogd') : undefined
  return await findOrInstall({ find, debianPackage: 'rsyslog-openssl' })
}
