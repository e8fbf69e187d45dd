import type { BatchEntry } from '../sink.ts'

/** RFC 5424, 6.2.1. */
const INFORMATIONAL = 6
/** An enterprise number for documentation (RFC 5612). */
const SD_ID = 'keelson@32473'

/** One entry as an octet-counted frame (RFC 5425, 4.3): structured data, and the hashed bytes as MSG, without a BOM. */
export function frameOf(
  log: string,
  { atMs, bytes, id, index, leaf, scope, action }: BatchEntry,
  about: { readonly facility: number; readonly app: string; readonly host: string; readonly pid: string },
): Uint8Array {
  const { facility, app, host, pid } = about
  const members = { id, log, index, leaf: Buffer.from(leaf).toString('base64'), scope, action }
  const data = Object.entries(members).map(([name, value]) => `${name}="${escaped(String(value))}"`)
  const head = `<${facility * 8 + INFORMATIONAL}>1 ${new Date(atMs).toISOString()} ${host} ${app} ${pid} audit`
  const message = Buffer.concat([Buffer.from(`${head} [${SD_ID} ${data.join(' ')}] `), bytes])
  return Buffer.concat([Buffer.from(`${message.length} `), message])
}

/** RFC 5424, 6.3.3. */
function escaped(value: string): string {
  return value.replaceAll(/["\\\]]/g, '\\$&')
}
