import { globSync, readFileSync } from 'node:fs'
import { relative } from 'node:path'
import { root, type Package } from '../packages.ts'
import { run } from '../run.ts'

/** Packages that changed since the last release, and that no changeset names. */
export async function changesets(all: readonly Package[]): Promise<string[]> {
  const named = globSync('.changeset/*.md', { cwd: root })
    .map((file) => readFileSync(`${root}/${file}`, 'utf8'))
    .join('\n')
  const changed = await changedPackages(all)
  return changed
    .filter(({ name }) => !named.includes(`'${name}'`) && !named.includes(`"${name}"`))
    .map(({ name }) => `${name} changed without a changeset`)
}

/** Since the last version tag; before the first release every package has changed. */
async function changedPackages(all: readonly Package[]): Promise<Package[]> {
  const tag = await run('git', ['describe', '--tags', '--abbrev=0', '--match', 'v*'])
  if (!tag.ok) return [...all]
  const { output } = await run('git', ['diff', '--name-only', tag.output.trim()])
  const files = output.split('\n')
  return all.filter(({ folder }) => files.some((file) => file.startsWith(`${relative(root, folder)}/src/`)))
}
