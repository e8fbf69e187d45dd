import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'

const root = join(import.meta.dirname, '../../../..')
const document = join(root, 'docs/writing-an-adapter.md')
/** Each block of code names its file in its first line. */
const BLOCK = /^```ts\n\/\/ (\S+)\n([\s\S]*?)^```$/gm

let folder: string
let files: string[]

/** The document's files in a folder of their own, with our packages as a user has them. */
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'keelson-writing-an-adapter-'))
  files = [...readFileSync(document, 'utf8').matchAll(BLOCK)].map(([, file = '', code = '']) => {
    writeFileSync(join(folder, file), code)
    return file
  })
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  mkdirSync(join(folder, 'node_modules/@keelson'), { recursive: true })
  mkdirSync(join(folder, 'node_modules/@types'))
  for (const name of ['kernel', 'idempotency', 'cache', 'http']) link(join('packages', name), join('@keelson', name))
  link('node_modules/@types/node', '@types/node')
  link('node_modules/vitest', 'vitest')
})
afterAll(() => rmSync(folder, { recursive: true }))

function link(from: string, to: string): void {
  symlinkSync(join(root, from), join(folder, 'node_modules', to))
}

/** Runs Node in that folder: its exit code, and all that it printed. */
function node(...args: string[]): Promise<{ code: number; output: string }> {
  // Set, it says that node:test runs this process already.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  return new Promise((resolve) => {
    const child = execFile(process.execPath, args, { cwd: folder, env }, (_error, stdout, stderr) =>
      resolve({ code: child.exitCode ?? -1, output: stdout + stderr }),
    )
  })
}

test('the adapter of the document passes the whole suite under node:test', async () => {
  const { code, output } = await node('--conditions=@keelson/source', '--test', '--test-reporter=tap')
  expect(output).toContain('# fail 0')
  expect(Number(/^# pass (\d+)$/m.exec(output)?.[1])).toBeGreaterThan(90)
  expect(code).toBe(0)
})

test('its code compiles as strictly as ours', async () => {
  const strict = ['--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess', '--verbatimModuleSyntax']
  const modules = ['--module', 'nodenext', '--target', 'es2024', '--allowImportingTsExtensions', '--types', 'node']
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const where = ['--noEmit', '--skipLibCheck', '--customConditions', '@keelson/source', '--erasableSyntaxOnly']
  const { code, output } = await node(tsc, ...where, ...modules, ...strict, ...files)
  expect(output).toBe('')
  expect(code).toBe(0)
})
