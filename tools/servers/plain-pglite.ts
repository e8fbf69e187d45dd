import { createRequire } from 'node:module'

/** PGlite as it is published, also where the tests' own stands for it (vitest.config.ts): `require` knows no alias. */
export const { PGlite: PlainPGlite } = createRequire(import.meta.url)('@electric-sql/pglite') as Pick<
  typeof import('@electric-sql/pglite'),
  'PGlite'
>
