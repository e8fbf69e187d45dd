/** Where a server's program is, or why there is none: ways 2 and 3 of services.ts. */
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { canInstallDebianPackages, installDebianPackage } from './debian-package.ts'

/** A program's path, or why there is none. */
export type Found = { kind: 'found'; path: string } | { kind: 'missing'; why: string }

/** What `findOrInstall` needs. */
export interface Wanted {
  find: () => string | undefined
  debianPackage: string
  /** Before the installation. */
  prepare?: () => Promise<void>
}

/** Looks; installs Debian's package where that is allowed, and looks again. */
export async function findOrInstall(wanted: Wanted): Promise<Found> {
  const path = wanted.find()
  if (path !== undefined) return { kind: 'found', path }
  if (!canInstallDebianPackages()) return { kind: 'missing', why: 'it is not on PATH, and this is not root on Debian' }
  try {
    await wanted.prepare?.()
    await installDebianPackage(wanted.debianPackage)
  } catch (error) {
    return { kind: 'missing', why: String(error) }
  }
  const installed = wanted.find()
  if (installed !== undefined) return { kind: 'found', path: installed }
  return { kind: 'missing', why: `the Debian package ${wanted.debianPackage} is installed, but it is not found` }
}

/** As `findOrInstall`; throws with the reason when there is none. */
export async function demandProgram(title: string, wanted: () => Promise<Found>): Promise<string> {
  const found = await wanted()
  if (found.kind === 'found') return found.path
  throw new Error(`this test starts its own ${title}, which is missing: ${found.why}`)
}

/** The folders of PATH. */
export function foldersOnPath(): string[] {
  return (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '')
}

/** The first of `folders` that holds all `programs`. */
export function folderWith(folders: readonly string[], ...programs: string[]): string | undefined {
  return folders.find((folder) => programs.every((program) => existsSync(join(folder, program))))
}
