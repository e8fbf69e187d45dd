import { expect, test } from 'vitest'
import { newId } from '../../src/redis/new-id.ts'

test('ids are 12 letters each, and no two are equal, over many blocks of them', () => {
  const ids = Array.from({ length: 10_000 }, newId)
  for (const id of ids) expect(id).toMatch(/^[\w-]{12}$/)
  expect(new Set(ids)).toHaveLength(ids.length)
})
