import type { TextFile } from './tracked-files.ts'

/** Absolute paths of somebody's machine, and hosts of registries: they are true in one place only. */
const PATH = /(?<![\w.:/@])\/(work|root|home|Users)\/\w/
const HOST = /registry *=|tarball: *http|resolved: *http/

/** Lines of tracked files that name a machine. */
export function machineNames(files: readonly TextFile[]): string[] {
  return files
    .filter(({ path }) => !path.startsWith('tools/check/') && !path.startsWith('tools/test/'))
    .flatMap(({ path, text }) => {
      const pattern = /(lock\.yaml|\.npmrc|workspace\.yaml)$/.test(path) ? HOST : PATH
      return text.split('\n').flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1}: ${line.trim()}`] : []))
    })
}
