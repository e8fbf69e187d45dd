import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { demandProgram, findOrInstall } from '../../../../tools/servers/find-program.ts'

const LIBRARIES = '/usr/lib'

/** Debian's libfaketime, for LD_PRELOAD; installs it where that is allowed. */
export function findFaketime(): Promise<string> {
  const find = (): string | undefined =>
    readdirSync(LIBRARIES)
      .map((folder) => join(LIBRARIES, folder, 'faketime/libfaketime.so.1'))
      .find((file) => existsSync(file))
  return demandProgram('libfaketime', () => findOrInstall({ find, debianPackage: 'libfaketime' }))
}
