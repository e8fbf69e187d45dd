import type { Case } from '../../src/case.ts'
import { coldStart } from '../../src/cold-start.ts'
import { weight } from '../../src/weight.ts'

/** What the package costs before it does anything. */
export function weights(): Case[] {
  return [
    {
      name: 'cold import of the root',
      contenders: [
        coldStart('@keelson/kernel', ['@keelson/kernel']),
        coldStart('node:crypto alone', ['node:crypto']),
        coldStart('empty process', []),
      ],
      targets: [{ of: '@keelson/kernel', figure: 'start ms', minus: 'empty process', atMost: 3 }],
    },
    {
      name: 'size of the root',
      exact: true,
      contenders: [weight('@keelson/kernel', '@keelson/kernel')],
      targets: [{ of: '@keelson/kernel', figure: 'gzip kB', atMost: 8.5, aim: 8 }],
    },
  ]
}
