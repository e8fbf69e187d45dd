import { uuidv7 } from '@keelson/kernel'

const CRLF = '\r\n'

/**
 * A form as bytes with one boundary, so that each attempt sends the same: a server that compares the payloads of one
 * idempotency key would refuse another. Files are not read (HTML, "multipart/form-data encoding algorithm").
 */
export function multipart(form: FormData): { readonly body: Blob; readonly type: string } {
  const boundary = `keelson-${uuidv7()}`
  const parts: (string | Blob)[] = []
  for (const [name, value] of form) {
    const head = `--${boundary}${CRLF}Content-Disposition: form-data; name="${quoted(withCrlf(name))}"`
    if (typeof value === 'string') parts.push(head + CRLF + CRLF + withCrlf(value) + CRLF)
    else {
      const type = value.type || 'application/octet-stream'
      parts.push(`${head}; filename="${quoted(value.name)}"${CRLF}Content-Type: ${type}${CRLF}${CRLF}`, value, CRLF)
    }
  }
  parts.push(`--${boundary}--${CRLF}`)
  return { body: new Blob(parts), type: `multipart/form-data; boundary=${boundary}` }
}

function withCrlf(text: string): string {
  return text.replaceAll(/\r\n|\r|\n/g, CRLF)
}

function quoted(text: string): string {
  return text.replaceAll('\n', '%0A').replaceAll('\r', '%0D').replaceAll('"', '%22')
}
