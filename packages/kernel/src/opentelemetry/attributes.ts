type Attributes = Record<string, string | number | boolean>

/** Names of https://opentelemetry.io/docs/specs/semconv/http/http-spans/ */
const HTTP: Readonly<Record<string, string>> = {
  method: 'http.request.method',
  route: 'http.route',
  path: 'url.path',
  status: 'http.response.status_code',
}
/** Of the channel itself, or told by the parents of the span. */
const OWN = new Set(['result', 'error', 'traceparent', 'parent', 'firstTraceparent'])

/** What a message says, as attributes: `keelson.outcome`. Messages hold no body and no text of a key. */
export function attributesOf(channel: string, message: object): Attributes {
  const names = channel === 'http:request' ? HTTP : {}
  const all: Attributes = {}
  for (const [name, value] of Object.entries(message)) {
    if (OWN.has(name) || !isAttribute(value)) continue
    all[names[name] ?? `keelson.${snakeCase(name)}`] = value
  }
  return all
}

/** What went wrong, without the words: they may tell of somebody. */
export function errorType(error: unknown): string {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown }
  return typeof code === 'string' ? code : typeof name === 'string' ? name : typeof error
}

function isAttribute(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}
