/** `pnpm build`: declarations by tsc, JavaScript by tsup, into each package's dist. */
import { createHash } from 'node:crypto'
import { existsSync, globSync, readFileSync, rmSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { build as tsup } from 'tsup'
import { packages, root, type Package } from './packages.ts'
import { run } from './run.ts'

/** What each dist was built from: `release:check` right after `build` builds nothing twice. */
const STAMPS = join(root, 'node_modules/.cache/keelson-build.json')

/** Builds these packages. Throws with the compiler's words. */
export async function build(all: readonly Package[]): Promise<void> {
  const stamps = { ...readStamps(), ...Object.fromEntries(all.map((one) => [one.name, stampOf(one)])) }
  all.forEach(removeStale)
  const [types] = await Promise.all([run('tsc', ['-b', ...all.map(({ folder }) => folder)]), ...all.map(bundle)])
  if (!types.ok) throw new Error(`tsc -b:\n${types.output}`)
  await mkdir(dirname(STAMPS), { recursive: true })
  await writeFile(STAMPS, JSON.stringify(stamps))
}

/** True when dist is what a build would make now. */
export function isBuilt(one: Package): boolean {
  const outputs = [
    ...one.entries.flatMap(({ output, types }) => [output, types]),
    ...one.bins.map(({ output }) => output),
  ]
  return outputs.every((file) => existsSync(join(one.folder, file))) && readStamps()[one.name] === stampOf(one)
}

function readStamps(): Record<string, string> {
  return existsSync(STAMPS) ? (JSON.parse(readFileSync(STAMPS, 'utf8')) as Record<string, string>) : {}
}

/** Over all that decides what dist holds. Other packages stay imports: they do not. */
function stampOf({ folder }: Package): string {
  const own = globSync([join(folder, 'src/**/*.ts'), join(folder, '{package,tsconfig}.json')])
  const shared = ['tools/build.ts', 'tsconfig.base.json', 'pnpm-lock.yaml'].map((file) => join(root, file))
  const hash = createHash('sha256')
  for (const file of [...own.toSorted(), ...shared]) hash.update(`${relative(root, file)}\0`).update(readFileSync(file))
  return hash.digest('hex')
}

/** tsc and tsup only add files; chunks have new names at each change. What has no source any more would be packed. */
function removeStale({ folder }: Package): void {
  const dist = join(folder, 'dist')
  for (const file of globSync('**/*.{js,js.map,d.ts,d.ts.map}', { cwd: dist })) {
    const source = file.replace(/\.d\.ts(\.map)?$/, '.ts')
    if (source === file || !existsSync(join(folder, 'src', source))) rmSync(join(dist, file))
  }
}

/** All entries and commands in one run with splitting, so that a class exists once over all of them. */
async function bundle({ folder, entries, bins, externals }: Package): Promise<void> {
  const entry = [...entries, ...bins].map(({ source, output }) => [
    output.replace(/^dist\//, '').replace(/\.js$/, ''),
    join(folder, source),
  ])
  await tsup({
    entry: Object.fromEntries(entry) as Record<string, string>,
    outDir: join(folder, 'dist'),
    format: 'esm',
    target: 'node22',
    platform: 'node',
    splitting: true,
    sourcemap: true,
    // dist is shared with tsc.
    clean: false,
    dts: false,
    silent: true,
    // `node:` stays: bundlers and size-limit tell built-ins by it.
    removeNodeProtocol: false,
    config: false,
    tsconfig: join(folder, 'tsconfig.json'),
    external: [...externals],
  })
}

if (import.meta.main) {
  const startMs = performance.now()
  await build(packages())
  console.log(`built ${packages().length} packages in ${((performance.now() - startMs) / 1000).toFixed(1)} s`)
}
