import { readFileSync } from 'node:fs'
import { cpus, loadavg, totalmem } from 'node:os'
import { join } from 'node:path'

/** What the figures were measured on. */
export interface Machine {
  readonly node: string
  readonly platform: string
  readonly cpu: string
  readonly memoryGb: number
  /** Of one minute, before the run: over 1 somebody else was at work. */
  readonly load: number
  /** The peers' exact versions. */
  readonly peers: Readonly<Record<string, string>>
}

/** Of now. */
export function thisMachine(): Machine {
  const manifest = readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')
  const { dependencies } = JSON.parse(manifest) as { dependencies: Record<string, string> }
  return {
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    cpu: `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}`,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    load: loadavg()[0]!,
    peers: Object.fromEntries(Object.entries(dependencies).filter(([, version]) => !version.startsWith('link:'))),
  }
}
