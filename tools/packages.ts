/** The packages that are published, and what they export: one place for build, checks and release. */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

export const root: string = join(import.meta.dirname, '..')

/** One subpath of a package. */
export interface Entry {
  /** As users import it: '@keelson/kernel/postgres'. */
  readonly specifier: string
  /** 'src/postgres/index.ts' */
  readonly source: string
  /** 'dist/postgres/index.js' */
  readonly output: string
  /** 'dist/postgres/index.d.ts' */
  readonly types: string
}

/** One command of a package. */
export interface Bin {
  /** As users type it. */
  readonly name: string
  /** 'src/cli/main.ts' */
  readonly source: string
  /** 'dist/cli/main.js' */
  readonly output: string
}

export interface Package {
  readonly name: string
  readonly version: string
  /** Absolute. */
  readonly folder: string
  readonly entries: readonly Entry[]
  readonly bins: readonly Bin[]
  /** Dependencies and peers: what a bundle leaves outside. */
  readonly externals: readonly string[]
}

interface Manifest {
  name: string
  version: string
  private?: boolean
  bin?: Record<string, string>
  exports?: Record<string, string | { '@keelson/source': string; types: string; default: string }>
  dependencies?: Record<string, string>
  peerDependencies?: Record<string, string>
}

/** All publishable packages of the workspace, by name. */
export function packages(): Package[] {
  return globSync('packages/*/package.json', { cwd: root })
    .map((file) => join(root, file))
    .filter((file) => existsSync(file))
    .map((file) => ({ folder: dirname(file), manifest: JSON.parse(readFileSync(file, 'utf8')) as Manifest }))
    .filter(({ manifest }) => manifest.private !== true)
    .map(({ folder, manifest }) => ({
      name: manifest.name,
      version: manifest.version,
      folder,
      entries: entriesOf(manifest),
      bins: binsOf(manifest),
      externals: Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies }),
    }))
    .toSorted((a, b) => a.name.localeCompare(b.name))
}

function entriesOf({ name, exports = {} }: Manifest): Entry[] {
  return Object.entries(exports).flatMap(([subpath, target]) =>
    typeof target === 'string'
      ? []
      : [
          {
            specifier: name + subpath.slice(1),
            source: target['@keelson/source'].slice(2),
            output: target.default.slice(2),
            types: target.types.slice(2),
          },
        ],
  )
}

function binsOf({ bin = {} }: Manifest): Bin[] {
  return Object.entries(bin).map(([name, path]) => {
    const output = path.replace(/^\.\//, '')
    return { name, output, source: output.replace(/^dist\//, 'src/').replace(/\.js$/, '.ts') }
  })
}
