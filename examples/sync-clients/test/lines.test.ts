import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'

test.each(['rxdb', 'watermelondb', 'tinybase', 'signaldb'])('%s speaks the wire in at most 40 lines', async (name) => {
  const text = await readFile(new URL(`../src/${name}.ts`, import.meta.url), 'utf8')
  const code = text
    .replaceAll(/\/\*\*[\s\S]*?\*\//g, '')
    .replaceAll(/^import [\s\S]*? from '.*'$/gm, '')
    .split('\n')
  const lines = code.filter((line) => line.trim() !== '' && !line.trim().startsWith('//'))
  expect(lines.length).toBeGreaterThan(10)
  expect(lines.length).toBeLessThanOrEqual(40)
})
