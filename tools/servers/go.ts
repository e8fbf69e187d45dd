/** Programs in Go that tests compare with, built from Debian's packages alone: nothing is downloaded. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { demandProgram, findOrInstall, foldersOnPath, folderWith, type Found } from './find-program.ts'

const BUILD_TIMEOUT_MS = 170_000
/** Where Debian keeps libraries of Go, as sources. */
const LIBRARIES = '/usr/share/gocode'

/** A library of Go. */
interface GoLibrary {
  readonly title: string
  /** As programs import it. */
  readonly path: string
  readonly debianPackage: string
}

/**
 * Builds a program of one file into a folder and answers its path. Installs Go and the library on Debian as root; else
 * throws if one is missing.
 */
export async function buildGo(source: string, folder: string, library: GoLibrary): Promise<string> {
  const programs = await demandProgram('Go', findOrInstallGo)
  await demandProgram(library.title, () => findOrInstallLibrary(library))
  const program = join(folder, 'program')
  // Without modules: imports are looked up in the libraries' folder.
  const env = { ...process.env, GO111MODULE: 'off', GOFLAGS: '', GOPATH: LIBRARIES, GOCACHE: join(folder, 'cache') }
  const args = ['build', '-o', program, source]
  await promisify(execFile)(join(programs, 'go'), args, { env, timeout: BUILD_TIMEOUT_MS })
  return program
}

async function findOrInstallGo(): Promise<Found> {
  const find = (): string | undefined => folderWith(foldersOnPath(), 'go')
  return await findOrInstall({ find, debianPackage: 'golang-go' })
}

async function findOrInstallLibrary({ path, debianPackage }: GoLibrary): Promise<Found> {
  const find = (): string | undefined => folderWith([join(LIBRARIES, 'src')], path)
  return await findOrInstall({ find, debianPackage })
}
