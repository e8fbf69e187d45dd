import { join, resolve } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build, type Metafile } from 'esbuild'
import type { Contender } from './case.ts'

/** What a user's start grows by: the entries and what they import at once, minified by esbuild, gzipped. */
export function weight(
  name: string,
  specifiers: string | readonly string[],
  external: readonly string[] = [],
  platform: 'node' | 'browser' = 'node',
): Contender {
  const contents = [specifiers].flat().map((specifier) => `export * from '${specifier}'`)
  return {
    name,
    open: () => ({
      async run() {
        const { outputFiles, metafile } = await build({
          stdin: { contents: contents.join('\n'), resolveDir: join(import.meta.dirname, '..') },
          bundle: true,
          minify: true,
          write: false,
          metafile: true,
          // What only `import()` names is a file of its own.
          splitting: true,
          outdir: '.',
          logLevel: 'error',
          platform,
          format: 'esm',
          external: [...external],
        })
        const [entry] = Object.keys(metafile.outputs).filter((path) => metafile.outputs[path]!.entryPoint !== undefined)
        const loaded = loadedWith(entry!, metafile).map((path) => resolve(path))
        const code = Buffer.concat(outputFiles.filter(({ path }) => loaded.includes(path)).map((file) => file.contents))
        return { 'gzip kB': gzipSync(code).length / 1000, 'minified kB': code.length / 1000 }
      },
    }),
  }
}

/** The files that are loaded with `entry`. */
function loadedWith(entry: string, metafile: Metafile, seen: string[] = []): string[] {
  if (seen.includes(entry)) return seen
  seen.push(entry)
  for (const { path, kind, external } of metafile.outputs[entry]!.imports) {
    if (external !== true && kind === 'import-statement') loadedWith(path, metafile, seen)
  }
  return seen
}
