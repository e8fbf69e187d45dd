/** A private Chromium without a window, for what only a browser has: IndexedDB, Web Locks, tabs. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { demandProgram, findOrInstall, foldersOnPath, type Found } from './find-program.ts'
import { HOST, startPrivateServer, type PrivateServer } from './private-server.ts'

/** As Debian, Ubuntu and Google name it. */
const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']
const NAME = 'chromium'
const ANSWER_MS = 2_000

const FLAGS = [
  '--headless=new',
  // It needs rights that containers do not have; the only pages here are our own.
  '--no-sandbox',
  // Containers have 64 MB there.
  '--disable-dev-shm-usage',
  '--disable-gpu',
  // It calls nobody: updates, lists and experiments have other names than ours.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-default-apps',
  '--disable-extensions',
  '--disable-sync',
  '--disable-breakpad',
  '--no-first-run',
  '--no-default-browser-check',
  '--no-service-autorun',
  '--password-store=basic',
  // A tab that nobody looks at works like one that is looked at.
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
  '--disable-renderer-backgrounding',
]

/** `url` is where DevTools listens. Its profile survives `kill` and `restart`. */
export type Chromium = PrivateServer

/** Starts Chromium with an empty profile. Installs it on Debian as root; else throws if it is missing. */
export async function startChromium(): Promise<Chromium> {
  const program = await demandProgram('Chromium', findOrInstallChromium)
  return await startPrivateServer({
    name: NAME,
    command: 'env',
    args: (folder, port) => [
      `HOME=${folder}`, // ours belongs to another user
      program,
      ...FLAGS,
      `--user-data-dir=${join(folder, 'profile')}`,
      `--remote-debugging-port=${port}`,
      'about:blank', // its own start page keeps whoever connects waiting
    ],
    url: (port) => `http://${HOST}:${port}`,
    answers: async (url, folder) => {
      const answer = await fetch(`${url}/json/version`, { signal: AbortSignal.timeout(ANSWER_MS) })
      const { webSocketDebuggerUrl } = (await answer.json()) as { webSocketDebuggerUrl: string }
      const log = await readFile(join(folder, `${NAME}.log`), 'utf8')
      const own = [...log.matchAll(/^DevTools listening on (\S+)$/gm)].at(-1)?.[1]
      if (webSocketDebuggerUrl !== own) throw new Error('the port belongs to another browser')
    },
    endSignal: 'SIGTERM',
    prepare: async () => {},
  })
}

async function findOrInstallChromium(): Promise<Found> {
  const paths = NAMES.flatMap((name) => foldersOnPath().map((folder) => join(folder, name)))
  return await findOrInstall({ find: () => paths.find((path) => existsSync(path)), debianPackage: 'chromium' })
}
