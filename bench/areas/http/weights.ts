import type { Case } from '../../src/case.ts'
import { coldStart } from '../../src/cold-start.ts'
import { weight } from '../../src/weight.ts'

const OURS = ['@keelson/kernel', '@keelson/http', '@keelson/express', '@keelson/fastify', '@keelson/nest']

/** What the packages cost before they do anything, without what they build on. */
export function weights(): Case[] {
  const http = '@keelson/http over @keelson/kernel'
  return [
    {
      name: 'cold import of http',
      contenders: [
        coldStart(http, ['@keelson/kernel', '@keelson/http']),
        coldStart('@keelson/kernel', ['@keelson/kernel']),
      ],
      targets: [{ of: http, figure: 'start ms', minus: '@keelson/kernel', atMost: 3 }],
    },
    {
      name: 'size of http and its adapters',
      exact: true,
      contenders: OURS.slice(1, 4).map((name) =>
        weight(
          name,
          name,
          OURS.filter((one) => one !== name),
        ),
      ),
      targets: [
        { of: '@keelson/http', figure: 'gzip kB', atMost: 12 },
        { of: '@keelson/express', figure: 'gzip kB', atMost: 3 },
        { of: '@keelson/fastify', figure: 'gzip kB', atMost: 3 },
      ],
    },
  ]
}
