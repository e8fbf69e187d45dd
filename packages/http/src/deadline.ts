/** What the caller says of its own patience; `isMalformed` when it says it in a way that has no meaning. */
export interface Said {
  readonly value: number | undefined
  readonly isMalformed: boolean
}

/** `x-request-timeout-ms`: how many ms the caller still waits, counted from now. */
export function readTimeout(lines: readonly string[]): Said {
  return readNumber(lines, /^\d{1,12}$/)
}

/** `x-retry-attempt`: which retry of its caller this is. `x-retry: no` asks for none behind it, as a first retry does. */
export function readRetryAttempt(attemptLines: readonly string[], retryLines: readonly string[]): Said {
  const said = readNumber(attemptLines, /^\d{1,4}$/)
  const refuses = retryLines.length === 1 && retryLines[0]!.toLowerCase() === 'no'
  return refuses ? { ...said, value: Math.max(1, said.value ?? 0) } : said
}

/** Ms from now until a request is over; undefined without an end. `max` bounds what callers ask for. */
export function timeLeft(
  said: number | undefined,
  o: { readonly default: number | undefined; readonly max: number },
): number | undefined {
  if (said === undefined) return o.default
  return Math.min(said, o.default ?? o.max, o.max)
}

const NOTHING: Said = { value: undefined, isMalformed: false }

function readNumber(lines: readonly string[], form: RegExp): Said {
  const [line, second] = lines
  if (line === undefined) return NOTHING
  const fits = second === undefined && form.test(line)
  return fits ? { value: Number(line), isMalformed: false } : { value: undefined, isMalformed: true }
}
