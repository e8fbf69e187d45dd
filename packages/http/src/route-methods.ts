import { optionFailure } from './error.ts'

/**
 * Whether a policy may stand at `route` for these methods, undefined for all: not for HEAD or OPTIONS alone. HEAD is the
 * answer to GET without its body, OPTIONS the framework's own; rules belong to the route that does the work. What a
 * framework makes of a GET by itself need not be asked. For adapters.
 * @throws HttpError OPTION_INVALID, naming route and methods
 */
export function checkRouteMethods(route: string, methods: readonly (string | undefined)[]): void {
  if (methods.length === 0 || methods.some((method) => !/^(HEAD|OPTIONS)$/i.test(String(method)))) return
  const alone = methods.map((method) => String(method).toUpperCase()).join(' and ')
  throw optionFailure(
    `${alone} ${route}: a policy is not for HEAD or OPTIONS alone, but for the route of GET, POST, ..`,
  )
}
