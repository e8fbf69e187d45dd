/** `pnpm build`: declarations by tsc, JavaScript by tsup, into each package's dist. */
import { join } from 'node:path'
import { build } from 'tsup'
import { packages, type Package } from './packages.ts'
import { run } from './run.ts'

const startMs = performance.now()
const types = await run('tsc', ['-b', ...packages().map(({ folder }) => folder)])
if (!types.ok) {
  console.error(types.output)
  process.exitCode = 1
} else {
  await Promise.all(packages().map(bundle))
  console.log(`built ${packages().length} packages in ${((performance.now() - startMs) / 1000).toFixed(1)} s`)
}

/** All entries in one run with splitting, so that a class exists once over all subpaths. */
async function bundle({ folder, entries, externals }: Package): Promise<void> {
  const entry = entries.map(({ source, output }) => [
    output.replace(/^dist\//, '').replace(/\.js$/, ''),
    join(folder, source),
  ])
  await build({
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
