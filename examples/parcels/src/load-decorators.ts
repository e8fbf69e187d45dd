import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'
import { transformSync } from 'esbuild'

/** Node strips types, but does not know decorators: from here on `*.nest.ts` is compiled on its way in. */
registerHooks({
  load(url, context, next) {
    if (!url.endsWith('.nest.ts')) return next(url, context)
    const { code } = transformSync(readFileSync(fileURLToPath(url), 'utf8'), {
      loader: 'ts',
      target: 'node22',
      sourcefile: url,
      sourcemap: 'inline',
      tsconfigRaw: { compilerOptions: { experimentalDecorators: true, useDefineForClassFields: false } },
    })
    return { format: 'module', source: code, shortCircuit: true }
  },
})
