import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { table } from './cells.ts'

const page = new URL('../../../../docs/degradation.md', import.meta.url)

test('the page has the cells that are tested, and no others', async () => {
  const lines = table.flatMap(({ title, cells }) => [
    `## ${title}`,
    ...Object.values(cells).map(({ feature, away, back }) => `| ${feature} | ${away} | ${back} |`),
  ])
  const text = await readFile(page, 'utf8')
  const shown = text.split('\n').filter((line) => line.startsWith('## ') || /^\| (?!feature \|)/.test(line))
  expect(shown).toEqual(lines)
})
