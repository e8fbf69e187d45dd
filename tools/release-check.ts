/** `pnpm release:check`: what users would get. Packs every package and uses the tarballs in blank projects. */
import { globSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { bundleForBrowser } from './browser/bundle.ts'
import { build, isBuilt } from './build.ts'
import { packages, type Entry, type Package } from './packages.ts'
import { run } from './run.ts'
import { runSteps, type Step } from './steps.ts'

/** What an entry may weigh, minified and gzipped, without its dependencies: each root, and what browsers load. */
const LIMITS: Record<string, string> = {
  // The design says 8: the guard brings its metrics along, and the table of what a dead Redis says.
  '@keelson/kernel': '9 kB',
  // All six cores together may have 60 kB: they have 113, what they load later not counted.
  '@keelson/idempotency': '15.9 kB',
  '@keelson/cache': '21.5 kB',
  '@keelson/resilience': '15 kB',
  '@keelson/webhooks': '19.5 kB',
  '@keelson/audit': '22.5 kB',
  '@keelson/sync': '19.4 kB',
  '@keelson/sync/client': '12.5 kB',
  '@keelson/sync/client/indexeddb': '0.9 kB',
  '@keelson/http': '12.5 kB',
  '@keelson/express': '3 kB',
  '@keelson/fastify': '3 kB',
  '@keelson/nest': '3 kB',
}

/** The commands of packages, as a user tries each first, and what comes of it. */
const COMMANDS: Record<string, { args: readonly string[]; prints: RegExp }> = {
  'keelson-audit': {
    args: ['keygen', 'acme.example/prod'],
    prints: /^PRIVATE\+KEY\+acme\.example\/prod\+[0-9a-f]{8}\+\S+$/m,
  },
}

/** What browsers load: without a `node:` import, and with no dependency but the kernel. */
const FOR_BROWSERS = ['@keelson/kernel/core', '@keelson/sync/client', '@keelson/sync/client/indexeddb']

const ADAPTERS = new Set(['@keelson/express', '@keelson/fastify', '@keelson/nest'])

/** The oldest compiler that reads our declarations, and the one that writes them. */
const TYPESCRIPTS = ['5.6.3', '7.0.2']

interface Packed extends Package {
  readonly tarball: string
}

const folder = await mkdtemp(join(tmpdir(), 'keelson-release-'))
try {
  const all = packages()
  if (!all.every(isBuilt)) {
    await build(all)
    console.log('dist was older than src: built')
  }
  const packed = await Promise.all(all.map((one) => pack(one, folder)))
  const ok = await runSteps([
    ...packed.map(publint),
    ...packed.map(typesWrong),
    ...packed.flatMap(sizes),
    blankProject('blank ESM project', packed, 'module', (specifier) => `await import('${specifier}')`),
    blankProject('blank CommonJS project', packed, 'commonjs', (specifier) => `require('${specifier}')`),
    ...TYPESCRIPTS.map((version) => blankTypes(packed, version)),
    blankCommands(packed),
    blankBrowser(packed),
  ])
  if (!ok) process.exitCode = 1
} finally {
  await rm(folder, { recursive: true })
}

async function pack(one: Package, destination: string): Promise<Packed> {
  const { ok, output } = await run('pnpm', ['pack', '--json', '--pack-destination', destination], { cwd: one.folder })
  if (!ok) throw new Error(`pnpm pack of ${one.name}: ${output}`)
  const { filename } = JSON.parse(output.slice(output.indexOf('{'))) as { filename: string }
  return { ...one, tarball: filename.startsWith('/') ? filename : join(destination, filename) }
}

function command(name: string, program: string, args: readonly string[], cwd?: string): Step {
  return {
    name,
    async run() {
      const { ok, output } = await run(program, args, cwd === undefined ? {} : { cwd })
      return ok ? [] : [output.trim()]
    },
  }
}

function publint({ name, tarball }: Packed): Step {
  return command(`${name}: publint`, 'publint', ['--strict', tarball])
}

function typesWrong({ name, tarball }: Packed): Step {
  return command(`${name}: types resolve`, 'attw', ['--profile', 'esm-only', tarball])
}

function sizes(one: Packed): Step[] {
  return one.entries
    .filter(({ specifier }) => specifier === one.name || LIMITS[specifier] !== undefined)
    .map((entry) => size(one, entry))
}

function size(one: Packed, { specifier, output: file }: Entry): Step {
  const config = join(folder, `${specifier.replaceAll('/', '-')}.size-limit.json`)
  const output = join(one.folder, file)
  const limit = {
    name: specifier,
    path: output,
    limit: LIMITS[specifier],
    brotli: ADAPTERS.has(one.name),
    gzip: !ADAPTERS.has(one.name),
    // What is imported only when it is needed is loaded and paid for only then.
    ignore: [...one.externals, 'node:*', ...lazyImports(dirname(output))],
  }
  return {
    name: `${specifier}: at most ${limit.limit}`,
    async run() {
      if (limit.limit === undefined) return [`${specifier} has no limit in tools/release-check.ts`]
      await writeFile(config, JSON.stringify([limit]))
      const { ok, output } = await run('size-limit', ['--config', config])
      return ok ? [] : [output.trim()]
    },
  }
}

/** The chunks of a dist that `import()` loads, as it names them. */
function lazyImports(dist: string): string[] {
  const files = globSync('**/*.js', { cwd: dist })
  return files.flatMap((file) =>
    [...readFileSync(join(dist, file), 'utf8').matchAll(/\bimport\(\s*["'](\.[^"']+)["']/g)].map(([, path]) => path!),
  )
}

/** Every subpath is imported from the tarballs, in one process a project. */
function blankProject(
  name: string,
  packed: readonly Packed[],
  type: 'module' | 'commonjs',
  load: (specifier: string) => string,
): Step {
  return {
    name,
    async run() {
      const cwd = await install(name, packed, type)
      const lines = specifiers(packed).map(
        (specifier) =>
          `try { ${load(specifier)} } catch (error) { console.log('${specifier}:', error); process.exitCode = 1 }`,
      )
      await writeFile(join(cwd, 'all.js'), lines.join('\n'))
      const { ok, output } = await run('node', ['all.js'], { cwd })
      return ok ? [] : [output.trim()]
    },
  }
}

/** A user's own compiler reads every subpath's types, without ours skipped. */
function blankTypes(packed: readonly Packed[], version: string): Step {
  return {
    name: `blank TypeScript ${version} project`,
    async run() {
      const cwd = await install(`types ${version}`, packed, 'module', { typescript: version })
      const lines = specifiers(packed).map((specifier, i) => `import * as m${i} from '${specifier}'; void m${i}`)
      await writeFile(join(cwd, 'all.ts'), lines.join('\n'))
      const args = ['--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext', '--types', 'node', 'all.ts']
      const { ok, output } = await run('node', ['node_modules/typescript/bin/tsc', ...args], { cwd })
      return ok ? [] : [output.trim()]
    },
  }
}

/** Every command runs by its name from the tarballs. */
function blankCommands(packed: readonly Packed[]): Step {
  return {
    name: 'commands of a blank project',
    async run() {
      const cwd = await install('commands', packed, 'module')
      const bins = packed.flatMap(({ name: owner, bins: own }) => own.map(({ name }) => ({ owner, name })))
      const faults = await Promise.all(
        bins.map(async ({ owner, name }) => {
          const command = COMMANDS[name]
          if (command === undefined) return [`${name} is not tried in tools/release-check.ts`]
          const { ok, output } = await run('npx', ['-p', owner, name, ...command.args], { cwd })
          return ok && command.prints.test(output) ? [] : [`npx -p ${owner} ${name}: ${output.trim()}`]
        }),
      )
      return faults.flat()
    },
  }
}

/** What browsers load is bundled for them from the tarballs. */
function blankBrowser(packed: readonly Packed[]): Step {
  return {
    name: 'bundles for browsers',
    async run() {
      const cwd = await install('browser', packed, 'module')
      const bundled = FOR_BROWSERS.map(async (specifier, i) => {
        const entry = join(cwd, `entry-${i}.js`)
        await writeFile(entry, `export * from '${specifier}'`)
        return bundleForBrowser(entry, 'it', []).then(
          () => [],
          (error: unknown) => [`${specifier}: ${String(error)}`],
        )
      })
      return (await Promise.all(bundled)).flat()
    },
  }
}

function specifiers(packed: readonly Packed[]): string[] {
  return packed.flatMap(({ entries }) => entries.map(({ specifier }) => specifier))
}

async function install(
  name: string,
  packed: readonly Packed[],
  type: string,
  more: Record<string, string> = {},
): Promise<string> {
  const cwd = join(folder, name.replaceAll(' ', '-'))
  await mkdir(cwd)
  const tarballs = Object.fromEntries(packed.map((one) => [one.name, `file:${one.tarball}`]))
  const dependencies = {
    ...tarballs,
    express: '^5',
    fastify: '^5',
    '@types/express': '^5',
    '@types/node': '^24',
    ...more,
  }
  const manifest = { name: 'blank', private: true, type, dependencies, overrides: tarballs }
  await writeFile(join(cwd, 'package.json'), JSON.stringify(manifest))
  const { ok, output } = await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline'], { cwd })
  if (!ok) throw new Error(`npm install in the ${name}: ${output}`)
  return cwd
}
