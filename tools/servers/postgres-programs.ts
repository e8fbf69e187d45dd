/** Where `initdb` and `postgres` are. */
import { existsSync, readdirSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { findOrInstall, foldersOnPath, folderWith, type Found } from './find-program.ts'

const DEBIAN_FOLDER = '/usr/lib/postgresql'
const CLUSTER_SETTINGS = '/etc/postgresql-common/createcluster.conf'

/** The folder of the programs: looks on PATH, then in Debian's folders; installs where that is allowed. */
export async function findOrInstallPostgres(): Promise<Found> {
  const find = (): string | undefined => folderWith([...foldersOnPath(), ...debianFolders()], 'initdb', 'postgres')
  return await findOrInstall({ find, debianPackage: 'postgresql', prepare: forbidDebianCluster })
}

/** Newest first. They are not on PATH, since several versions live side by side. */
function debianFolders(): string[] {
  if (!existsSync(DEBIAN_FOLDER)) return []
  const newestFirst = readdirSync(DEBIAN_FOLDER).toSorted((a, b) => Number(b) - Number(a))
  return newestFirst.map((version) => join(DEBIAN_FOLDER, version, 'bin'))
}

/**
 * Debian's package makes and starts a cluster of its own on port 5432. Nobody asked for that, so the setting is there
 * before the package reads it. A file that exists is the owner's word and stays as it is.
 */
async function forbidDebianCluster(): Promise<void> {
  await mkdir(dirname(CLUSTER_SETTINGS), { recursive: true })
  await writeFile(CLUSTER_SETTINGS, 'create_main_cluster = false\n', { flag: 'wx' }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    },
  )
}
