import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { LongestFirst } from './tools/longest-first.ts'

// Tests run from `src`; never put `import` here: it reaches `require()` inside pg.
const conditions = ['@keelson/source', 'module', 'node', 'development|production']
// The embedded database without its `initdb`, which takes seconds of a core.
const pglite = join(import.meta.dirname, 'tools/servers/pglite.ts')
const nest = 'packages/adapters-nest/test/**/*.test.ts'
const nest11 = join(import.meta.dirname, 'packages/adapters-nest/test/nest-11/node_modules/@nestjs')

export default defineConfig({
  resolve: { conditions, alias: [{ find: /^@electric-sql\/pglite$/, replacement: pglite }] },
  ssr: { resolve: { conditions } },
  // As Nest's own compilers have it: `*.nest.ts`.
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  test: {
    globalSetup: ['tools/services.ts'],
    // Most of the start of a process is compiling. Node keeps its versions apart, and knows a changed file.
    env: { NODE_COMPILE_CACHE: join(tmpdir(), 'node-compile-cache') },
    // Tests wait for servers more than they compute; the default on 2 cores is one file at a time.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    // For what hangs: a busy machine may need minutes for what takes seconds.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 60_000 } },
    projects: [
      {
        extends: true,
        test: {
          name: 'all',
          include: [
            'packages/*/test/**/*.test.ts',
            'examples/*/test/**/*.test.ts',
            'tools/test/**/*.test.ts',
            'test/**/*.test.ts',
          ],
        },
      },
      // The same tests on the other major version of the framework.
      {
        extends: true,
        resolve: { alias: [{ find: /^@nestjs\//, replacement: `${nest11}/` }] },
        test: { name: 'nest 11', include: [nest] },
      },
    ],
  },
})
