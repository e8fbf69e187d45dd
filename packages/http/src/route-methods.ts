import { optionFailure } from './error.ts'
import type { RoutePolicy } from './policy.ts'

/**
 * Whether a policy may stand at `route` for these methods, undefined for all: not for HEAD or OPTIONS alone. HEAD is the
 * answer to GET without its body, OPTIONS the framework's own; rules belong to the route that does the work. What a
 * framework makes of a GET by itself need not be asked. Nor for others than GET and HEAD, if its rules are for reads. For
 * adapters.
 * @throws HttpError OPTION_INVALID, naming route and methods
 */
export function checkRouteMethods(
  route: string,
  methods: readonly (string | undefined)[],
  policy: RoutePolicy = {},
): void {
  const read = (policy.cached && 'cached') ?? (policy.etag ? 'etag' : undefined)
  const other = methods.find((method) => method !== undefined && !/^(GET|HEAD|OPTIONS|ALL)$/i.test(method))
  if (read && other) throw optionFailure(`${other.toUpperCase()} ${route}: "${read}" is for GET and HEAD`)
  if (methods.length === 0 || methods.some((method) => !/^(HEAD|OPTIONS)$/i.test(String(method)))) return
  const alone = methods.map((method) => String(method).toUpperCase()).join(' and ')
  throw optionFailure(
    `${alone} ${route}: a policy is not for HEAD or OPTIONS alone, but for the route of GET, POST, ..`,
  )
}
