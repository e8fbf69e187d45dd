/** A process whose wall clock is wrong: Debian's libfaketime. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { demandProgram, findOrInstall, folderWith, type Found } from './find-program.ts'

const LIBRARIES = '/usr/lib'
/** For programs of many threads. */
const LIBRARY = 'libfaketimeMT.so.1'

/**
 * The environment of a process whose wall clock is so many seconds ahead; its monotonic clock is true. Installs the
 * library on Debian as root; else throws if it is missing.
 */
export async function fakeClock(aheadSeconds: number): Promise<Record<string, string>> {
  const folder = await demandProgram('libfaketime', findOrInstallFaketime)
  return { LD_PRELOAD: join(folder, LIBRARY), FAKETIME: `+${aheadSeconds}`, FAKETIME_DONT_FAKE_MONOTONIC: '1' }
}

/** The folder of the library: one below each architecture's. */
async function findOrInstallFaketime(): Promise<Found> {
  const find = (): string | undefined => {
    const folders = readdirSync(LIBRARIES).map((name) => join(LIBRARIES, name, 'faketime'))
    return folderWith(folders, LIBRARY)
  }
  return await findOrInstall({ find, debianPackage: 'libfaketime' })
}
