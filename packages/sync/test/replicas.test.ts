import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { runSuite } from '@keelson/kernel/conformance'
import { playCommands } from '../src/conformance/replicas/play-commands.ts'
import { DEVICES, IDS, SCOPES, type Changing, type Command } from '../src/conformance/replicas/commands.ts'
import { onStage } from '../src/conformance/stage.ts'
import { stores } from './stores.ts'

const LONG = process.env['LONG'] === '1'

const id = fc.constantFrom(...IDS)
const scope = fc.nat(SCOPES - 1)
const device = fc.nat(DEVICES - 1)
const t = fc.constantFrom('put', 'patch', 'delete')
const changing: fc.Arbitrary<Changing> = fc.record({ t: fc.oneof(t, fc.constant('move')), id, scope, to: scope })
const batch = fc.integer({ min: 1, max: 4 })

const is = <D extends Command['do']>(name: D) => fc.constant(name)
const commands: fc.Arbitrary<readonly Command[]> = fc.array(
  fc.oneof(
    {
      weight: 7,
      arbitrary: fc.record({ do: is('change'), changes: fc.array(changing, { minLength: 1, maxLength: 4 }) }),
    },
    { weight: 2, arbitrary: fc.record({ do: is('push'), id, scope, t, ms: fc.nat(999) }) },
    { weight: 7, arbitrary: fc.record({ do: is('pull'), device, limit: batch, pages: batch }) },
    {
      weight: 2,
      arbitrary: fc.record({ do: is('grant'), device, scopes: fc.integer({ min: 1, max: 2 ** SCOPES - 1 }) }),
    },
    { weight: 2, arbitrary: fc.record({ do: is('gc'), batch }) },
    { weight: 1, arbitrary: fc.record({ do: is('forget'), id, scope }) },
    { weight: 1, arbitrary: fc.record({ do: is('rebase') }) },
  ),
  { minLength: 1, maxLength: 60, size: 'max' },
)

describe('devices that pull in pages of any size, now and then, end with what lives in their scopes', () => {
  test.each(Object.entries(stores))(
    '%s',
    async (name, subject) => {
      // Where time really passes a step takes as long as the time that it waits for.
      const numRuns = name.includes('virtual') ? (LONG ? 1_000 : 100) : 10
      await fc.assert(
        fc.asyncProperty(commands, async (given) => {
          const cases = [onStage('it is so', (stage) => playCommands(stage, given))]
          const { failed } = await runSuite({ name: 'replicas', of: 'store', cases }, subject, { timeout: '10m' })
          if (failed[0] !== undefined) throw failed[0].error
        }),
        { numRuns },
      )
    },
    600_000,
  )
})

test('a device that is told too little is found out', async () => {
  const { memory } = stores
  const cases = [
    onStage('it is so', (stage) =>
      playCommands(
        {
          ...stage,
          store: { ...stage.store, pull: async (q) => ({ ...(await stage.store.pull(q)), more: false }) as never },
        },
        [
          {
            do: 'change',
            changes: [
              { t: 'put', id: 'a', scope: 0, to: 0 },
              { t: 'put', id: 'b', scope: 0, to: 0 },
            ],
          },
        ],
      ),
    ),
  ]
  const { failed } = await runSuite({ name: 'replicas', of: 'store', cases }, memory!)
  expect(String(failed[0]?.error)).toContain('device 0')
})
