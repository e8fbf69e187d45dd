import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import type { Contender } from './case.ts'

/** What a user's bundle grows by: the whole entry, minified by esbuild, gzipped. */
export function weight(name: string, specifier: string, external: readonly string[] = []): Contender {
  return {
    name,
    open: () => ({
      async run() {
        const { outputFiles } = await build({
          stdin: { contents: `export * from '${specifier}'`, resolveDir: join(import.meta.dirname, '..') },
          bundle: true,
          minify: true,
          write: false,
          platform: 'node',
          format: 'esm',
          external: [...external],
        })
        const code = outputFiles[0]!.contents
        return { 'gzip kB': gzipSync(code).length / 1000, 'minified kB': code.length / 1000 }
      },
    }),
  }
}
