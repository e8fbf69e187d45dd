import { describe, expect, inject, test } from 'vitest'
import { openStory } from '../src/story.ts'

describe.each([
  ['embedded', () => undefined],
  ['on Postgres', () => inject('databaseUrl')],
])('the story %s', (_, databaseUrl) => {
  test('every step holds', async () => {
    const story = await openStory(databaseUrl())
    try {
      for (const step of story.steps) await expect(step.run(), step.name).resolves.toBeUndefined()
    } finally {
      await story.close()
    }
  })
})
