import { defineConfig } from 'vitest/config'

// Tests run from `src`; never put `import` here: it reaches `require()` inside pg.
const conditions = ['@keelson/source', 'module', 'node', 'development|production']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: [
      'packages/*/test/**/*.test.ts',
      'examples/*/test/**/*.test.ts',
      'tools/test/**/*.test.ts',
      'test/**/*.test.ts',
    ],
    globalSetup: ['tools/services.ts'],
    // Tests wait for servers more than they compute; the default on 2 cores is one file at a time.
    maxWorkers: 3,
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
})
