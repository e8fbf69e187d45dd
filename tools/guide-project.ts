import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
/** Each block of code names its file in its first line. */
const BLOCK = /^```ts\n\/\/ (\S+)\n([\s\S]*?)^```$/gm

/** What a program printed, and how it ended. */
export interface Ended {
  readonly code: number
  readonly output: string
}

/** The code of a guide in a folder of its own, with our packages as a user has them. */
export interface GuideProject extends Disposable {
  /** Runs Node there, from our sources. */
  node(...args: string[]): Promise<Ended>
  /** Compiles its code as strictly as ours: nothing printed when it is right. */
  compile(): Promise<Ended>
}

/** Lays out `docs/<name>.md` beside links to the packages of these folders. */
export function guideProject(name: string, packages: readonly string[]): GuideProject {
  const document = join(root, 'docs', `${name}.md`)
  const folder = mkdtempSync(join(tmpdir(), `keelson-${name}-`))
  const files = [...readFileSync(document, 'utf8').matchAll(BLOCK)].map(([, file = '', code = '']) => {
    writeFileSync(join(folder, file), code)
    return file
  })
  const link = (from: string, to: string): void => symlinkSync(join(root, from), join(folder, 'node_modules', to))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  mkdirSync(join(folder, 'node_modules/@keelson'), { recursive: true })
  mkdirSync(join(folder, 'node_modules/@types'))
  for (const each of packages) link(join('packages', each), join('@keelson', each))
  link('node_modules/@types/node', '@types/node')
  link('node_modules/vitest', 'vitest')

  function run(args: readonly string[]): Promise<Ended> {
    // Set, it says that node:test runs this process already.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    return new Promise((resolve) => {
      const child = execFile(process.execPath, args, { cwd: folder, env }, (_error, stdout, stderr) =>
        resolve({ code: child.exitCode ?? -1, output: stdout + stderr }),
      )
    })
  }

  return {
    node: (...args) => run(['--conditions=@keelson/source', ...args]),
    compile() {
      const strict = [
        '--strict',
        '--exactOptionalPropertyTypes',
        '--noUncheckedIndexedAccess',
        '--verbatimModuleSyntax',
      ]
      const modules = ['--module', 'nodenext', '--target', 'es2024', '--allowImportingTsExtensions', '--types', 'node']
      const where = ['--noEmit', '--skipLibCheck', '--customConditions', '@keelson/source', '--erasableSyntaxOnly']
      return run([join(root, 'node_modules/typescript/bin/tsc'), ...where, ...modules, ...strict, ...files])
    },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true }),
  }
}
