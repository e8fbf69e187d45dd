import { globSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { root, type Package } from '../packages.ts'
import { run } from '../run.ts'

/** Packages that changed since the last release and that no changeset names; changesets that name no package. */
export async function changesets(all: readonly Package[]): Promise<string[]> {
  const waiting = globSync('.changeset/*.md', { cwd: root, exclude: ['.changeset/README.md'] })
  const named = new Map(waiting.map((file) => [file, packagesIn(readFileSync(join(root, file), 'utf8'))]))
  return changesetFaults(
    named,
    all.map(({ name }) => name),
    await changedPackages(all),
  )
}

/** The packages in the head of a changeset. */
export function packagesIn(changeset: string): string[] {
  const head = /^---\n([\s\S]*?)^---$/m.exec(changeset)?.[1] ?? ''
  return [...head.matchAll(/^['"]?([^'":]+)['"]?: *(?:major|minor|patch)$/gm)].map((match) => match[1]!)
}

/** `named`: by changeset file, the packages in it. */
export function changesetFaults(
  named: ReadonlyMap<string, readonly string[]>,
  all: readonly string[],
  changed: readonly string[],
): string[] {
  const covered = [...named.values()].flat()
  return [
    ...changed.filter((name) => !covered.includes(name)).map((name) => `${name} changed without a changeset`),
    ...[...named].flatMap(([file, names]) =>
      names.length === 0
        ? [`${file} names no package`]
        : names.filter((name) => !all.includes(name)).map((name) => `${file} names ${name}, which is not published`),
    ),
  ]
}

/**
 * Since the last version tag, else since `origin/main`. A package at 0.0.0 waits for its first release whatever git
 * says. Changesets are spent in the commit that raises the version.
 */
async function changedPackages(all: readonly Package[]): Promise<string[]> {
  const tag = await run('git', ['describe', '--tags', '--abbrev=0', '--match', '@keelson/*', '--match', 'v[0-9]*'])
  const base = tag.ok ? tag : await run('git', ['merge-base', 'HEAD', 'origin/main'])
  const changed = all.map(async ({ name, version, folder }) => {
    if (version === '0.0.0') return [name]
    if (!base.ok) return []
    const path = relative(root, folder)
    const then = await run('git', ['show', `${base.output.trim()}:${path}/package.json`])
    if (!then.ok) return [name]
    if ((JSON.parse(then.output) as { version: string }).version !== version) return []
    const published = ['--', `${path}/src`, `${path}/package.json`]
    const edited = await run('git', ['diff', '--name-only', base.output.trim(), ...published])
    const added = await run('git', ['ls-files', '--others', '--exclude-standard', ...published])
    return edited.output + added.output === '' ? [] : [name]
  })
  return (await Promise.all(changed)).flat()
}
