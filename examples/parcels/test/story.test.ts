import { describe, expect, inject, test } from 'vitest'
import { FRAMEWORKS, type Framework } from '../src/environment.ts'
import { openStory } from '../src/story.ts'

const LONG = process.env['LONG'] === '1'
const databases: readonly [string, () => string | undefined][] = [
  ['embedded', () => undefined],
  ['on Postgres', () => inject('databaseUrl')],
]
/** Every framework leads once on the embedded stores; on Postgres one does, with LONG=1 each. */
const stages = databases.flatMap(([where, databaseUrl]) =>
  FRAMEWORKS.filter((_, i) => LONG || i === 0 || where === 'embedded').map(
    (first): [Framework, string, typeof databaseUrl] => [first, where, databaseUrl],
  ),
)

describe.each(stages)('the story, %s first, %s', (first, _, databaseUrl) => {
  test('every step holds', async () => {
    const story = await openStory({ databaseUrl: databaseUrl(), first })
    try {
      for (const step of story.steps) await expect(step.run(), step.name).resolves.toBeUndefined()
    } finally {
      await story.close()
    }
  })
})
