import { afterAll, beforeAll, expect, test } from 'vitest'
import { guideProject, type GuideProject } from '../../../../tools/guide-project.ts'

let guide: GuideProject
beforeAll(() => void (guide = guideProject('writing-a-store', ['kernel', 'idempotency'])))
afterAll(() => guide[Symbol.dispose]())

test('the store of the document passes the whole suite under node:test', async () => {
  const { code, output } = await guide.node('--test', '--test-reporter=tap')
  expect(output).toContain('# fail 0')
  expect(Number(/^# pass (\d+)$/m.exec(output)?.[1])).toBeGreaterThan(70)
  expect(code).toBe(0)
})

test('a case is repeated by its seed', async () => {
  const { output } = await guide.node('again.ts')
  expect(output).toContain('1 passed, 0 failed')
})

test('broken stores are caught', async () => {
  const { output } = await guide.node('score.ts')
  expect(output).toMatch(/(\d+) of \1 caught \[\]/)
})

test('its code compiles as strictly as ours', async () => {
  expect(await guide.compile()).toEqual({ code: 0, output: '' })
})
