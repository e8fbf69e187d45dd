import type { TextFile } from './tracked-files.ts'

/** Lines of code of one adapter, types included; blank lines and comments are free. */
const MOST_LINES = 250
/** A status, or the name of a header: rules of HTTP. */
const RULE =
  /(?<![\w.'"])[1-5]\d\d(?![\w.])|(['"`])(x-[\w-]+|(?:accept|access-control|content|idempotency|if|retry|www)-[\w-]+|allow|authorization|connection|cookie|date|etag|host|link|location|set-cookie|traceparent|vary)\1/i

/** An adapter only translates: it is short, and what HTTP means stands in http. */
export function adapterFaults(files: readonly TextFile[]): string[] {
  const sources = files.flatMap(({ path, text }) => {
    const adapter = /^packages\/(adapters-[^/]+)\/src\/.*\.ts$/.exec(path)?.[1]
    return adapter === undefined ? [] : [{ adapter, path, lines: codeOf(text) }]
  })
  const rules = sources.flatMap(({ path, lines }) =>
    lines
      .filter(({ text }) => RULE.test(text))
      .map(({ line, text }) => `${path}:${line}: belongs into http: ${text.trim()}`),
  )
  const tooLong = Object.entries(Object.groupBy(sources, ({ adapter }) => adapter))
    .map(([adapter, parts = []]) => ({ adapter, count: parts.reduce((sum, { lines }) => sum + lines.length, 0) }))
    .filter(({ count }) => count > MOST_LINES)
    .map(({ adapter, count }) => `packages/${adapter}: ${count} lines of code, at most ${MOST_LINES}`)
  return [...rules, ...tooLong]
}

function codeOf(text: string): { line: number; text: string }[] {
  return text
    .split('\n')
    .map((one, i) => ({ line: i + 1, text: one }))
    .filter((one) => one.text.trim() !== '' && !/^\s*(\/\/|\/\*|\*)/.test(one.text))
}
