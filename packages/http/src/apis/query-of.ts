import { problem, type HttpProblem } from '../problem.ts'

/**
 * The parameters of a query by name: each one is known, and comes once.
 * @throws HttpProblem 400 'input-invalid'
 */
export function queryOf<Name extends string>(
  searchParams: URLSearchParams,
  known: readonly Name[],
): { readonly [N in Name]?: string } {
  const query: { [N in Name]?: string } = {}
  for (const [name, value] of searchParams) {
    if (!(known as readonly string[]).includes(name)) {
      throw problem(400, 'input-invalid', { detail: `unknown parameter "${name}"; known are ${known.join(', ')}` })
    }
    if (Object.hasOwn(query, name)) throw problem(400, 'input-invalid', { detail: `"${name}" came more than once` })
    query[name as Name] = value
  }
  return query
}

/** The core says what is wrong with a limit. */
export function pageOf({ after, limit }: { after?: string | undefined; limit?: string | undefined }): object {
  return {
    ...(after === undefined ? {} : { after }),
    ...(limit === undefined ? {} : { limit: /^\d{1,9}$/.test(limit) ? Number(limit) : limit }),
  }
}

/** A date alone is its first instant, UTC. */
const ISO = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d))?$/

/** With `from` and `to` as dates. @throws HttpProblem 400 'input-invalid' */
export function datesOf(given: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const dates = (['from', 'to'] as const).flatMap((name) => {
    const text = given[name]
    if (text === undefined) return []
    const date = new Date(typeof text === 'string' && ISO.test(text) ? text : NaN)
    if (Number.isNaN(date.getTime())) {
      throw invalid(`"${name}" must be a date of ISO 8601, with a zone if it has a time`)
    }
    return [[name, date] as const]
  })
  return { ...given, ...Object.fromEntries(dates) }
}

/** How an API refuses what a client says. */
export function invalid(detail: string): HttpProblem {
  return problem(400, 'input-invalid', { detail })
}
