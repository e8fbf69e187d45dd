import { afterAll, beforeAll, expect, test } from 'vitest'
import { guideProject, type GuideProject } from '../../../../tools/guide-project.ts'

let guide: GuideProject
beforeAll(
  () =>
    void (guide = guideProject('writing-an-adapter', [
      'kernel',
      'idempotency',
      'cache',
      'resilience',
      'webhooks',
      'audit',
      'sync',
      'http',
    ])),
)
afterAll(() => guide[Symbol.dispose]())

test('the adapter of the document passes the whole suite under node:test', async () => {
  const { code, output } = await guide.node('--test', '--test-reporter=tap')
  expect(output).toContain('# fail 0')
  expect(Number(/^# pass (\d+)$/m.exec(output)?.[1])).toBeGreaterThan(90)
  expect(code).toBe(0)
})

test('its code compiles as strictly as ours', async () => {
  expect(await guide.compile()).toEqual({ code: 0, output: '' })
})
