import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { FRAMEWORKS } from '../../src/report/frameworks.ts'

const docs = join(import.meta.dirname, '../../../../docs')
const page = readFileSync(join(docs, 'audit-controls.md'), 'utf8')
const sections = new Map(page.split(/^## /m).map((text) => [text.split('\n')[0]!, text]))
const LINK = /\[([^\]]+)\]\(([^)]+\.test\.ts)\)/g

describe.each(Object.values(FRAMEWORKS).map((framework) => [framework.name, framework] as const))(
  '%s',
  (name, framework) => {
    const rows = [...sections.get(name)!.matchAll(/^\| (\S.*?) \| (.+) \| (.+) \|$/gm)].slice(1)

    test('has a row for each control of its reports, with what the code does', () => {
      const shown = framework.controls.filter(({ evidence }) => evidence.kind !== 'beyond')
      expect(rows.map(([, id]) => id)).toEqual(shown.map(({ id }) => id))
    })

    test('has nothing without a test that proves it', () => {
      for (const [, id, , proof] of rows) expect([id, proof!.match(LINK)?.length ?? 0]).not.toEqual([id, 0])
    })

    test('says what no log can show', () => {
      const beyond = framework.controls.filter(({ evidence }) => evidence.kind === 'beyond')
      const told = sections.get('Beyond any log')!.split(/[:;,] |\.\n/)
      expect(told).toEqual(expect.arrayContaining(beyond.map(({ id }) => id)))
    })
  },
)

test('each test that is named is there', () => {
  const links = [...page.matchAll(LINK)]
  expect(links.length).toBeGreaterThan(50)
  for (const [, title, path] of links) expect(readFileSync(resolve(docs, path!), 'utf8'), path).toContain(title)
})
