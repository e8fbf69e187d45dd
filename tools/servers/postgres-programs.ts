/** Where `initdb` and `postgres` are: ways 2 and 3 of services.ts. */
import { existsSync, readdirSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { canInstallDebianPackages, installDebianPackage } from './debian-package.ts'

const DEBIAN_FOLDER = '/usr/lib/postgresql'
const CLUSTER_SETTINGS = '/etc/postgresql-common/createcluster.conf'

/** The folder of the programs, or why there is none. */
export type PostgresPrograms = { kind: 'found'; folder: string } | { kind: 'missing'; why: string }

/** Looks on PATH, then in Debian's folders; installs Debian's package where that is allowed. */
export async function findOrInstallPostgres(): Promise<PostgresPrograms> {
  const folder = findPostgres()
  if (folder !== undefined) return { kind: 'found', folder }
  if (!canInstallDebianPackages()) return { kind: 'missing', why: 'it is not on PATH, and this is not root on Debian' }
  try {
    await forbidDebianCluster()
    await installDebianPackage('postgresql')
  } catch (error) {
    return { kind: 'missing', why: String(error) }
  }
  const installed = findPostgres()
  if (installed === undefined) return { kind: 'missing', why: `no postgres in ${DEBIAN_FOLDER} after its installation` }
  return { kind: 'found', folder: installed }
}

function findPostgres(): string | undefined {
  const onPath = (process.env['PATH'] ?? '').split(delimiter)
  const folders = [...onPath.filter((folder) => folder !== ''), ...debianFolders()]
  return folders.find((folder) => existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'postgres')))
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
