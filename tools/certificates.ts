import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A certificate with its key, in PEM. */
export interface Pair {
  readonly key: string
  readonly cert: string
}

const OPENSSL = 'openssl'
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'key']

/** A new authority and what it has signed: each for its names (`DNS:a.example,IP:127.0.0.1`) and days, which may be over. */
export function certificates<K extends string>(
  wanted: Record<K, { readonly names: string; readonly days: number }>,
): { readonly ca: string; readonly pairs: Record<K, Pair> } {
  const folder = mkdtempSync(join(tmpdir(), 'keelson-tls-'))
  const openssl = (...args: string[]): void => void execFileSync(OPENSSL, args, { cwd: folder, stdio: 'pipe' })
  const file = (name: string): string => readFileSync(join(folder, name), 'utf8')
  try {
    openssl('req', '-x509', ...NEW_KEY, '-out', 'ca', '-subj', '/CN=test authority', '-days', '2')
    writeFileSync(join(folder, 'ca-key'), file('key'))
    const pairs = Object.entries<{ names: string; days: number }>(wanted).map(([name, { names, days }]) => {
      writeFileSync(join(folder, 'extensions'), `subjectAltName=${names}`)
      openssl('req', ...NEW_KEY, '-out', 'request', '-subj', '/CN=test')
      const by = ['-CA', 'ca', '-CAkey', 'ca-key', '-CAcreateserial', '-extfile', 'extensions']
      openssl('x509', '-req', '-in', 'request', ...by, '-days', String(days), '-out', 'cert')
      return [name, { key: file('key'), cert: file('cert') }]
    })
    return { ca: file('ca'), pairs: Object.fromEntries(pairs) as Record<K, Pair> }
  } finally {
    rmSync(folder, { recursive: true })
  }
}
