import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Case } from '../../src/case.ts'
import { coldStart } from '../../src/cold-start.ts'

const OURS = '@keelson/kernel and idempotency'

/** What the packages cost before they do anything. */
export function weights(): Case[] {
  return [
    {
      name: 'cold import',
      contenders: [
        coldStart(OURS, ['@keelson/kernel', '@keelson/idempotency']),
        coldStart('@node-idempotency/core', ['@node-idempotency/core']),
        coldStart('express-idempotency', ['express-idempotency']),
        coldStart('@aws-lambda-powertools', ['@aws-lambda-powertools/idempotency']),
        coldStart('node:crypto alone', ['node:crypto']),
        coldStart('empty process', []),
      ],
      targets: [{ of: OURS, figure: 'start ms', minus: 'empty process', atMost: 6 }],
    },
    {
      name: 'dependencies that are not ours',
      exact: true,
      contenders: ['@keelson/kernel', '@keelson/idempotency'].map((name) => ({
        name,
        open: () => ({ run: () => ({ dependencies: foreignDependenciesOf(name) }) }),
      })),
      targets: ['@keelson/kernel', '@keelson/idempotency'].map((of) => ({ of, figure: 'dependencies', atMost: 0 })),
    },
  ]
}

function foreignDependenciesOf(name: string): number {
  const manifest = readFileSync(join(import.meta.dirname, '../../node_modules', name, 'package.json'), 'utf8')
  const { dependencies = {} } = JSON.parse(manifest) as { dependencies?: Record<string, string> }
  return Object.keys(dependencies).filter((dependency) => dependency !== '@keelson/kernel').length
}
