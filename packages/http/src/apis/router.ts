import { context, type StoredResponse } from '@keelson/kernel'
import type { FetchHandler } from '../fetch-handler.ts'
import { problem } from '../problem.ts'
import { sealed } from './answer.ts'
import { principalOf, type Authorize } from './authorize.ts'

/**
 * The parameters of a path template: '/explain/:correlationId' has `correlationId`; `*path` at its end is all that is left,
 * one segment or more.
 */
export type ParamsOf<Path extends string> = Path extends `${infer Head}/${infer Rest}`
  ? ParamsOf<Head> | ParamsOf<Rest>
  : Path extends `:${infer Name}` | `*${infer Name}`
    ? Name
    : never

/** One request to a route of a management API. */
export interface ApiCall<Path extends string = string> {
  readonly request: Request
  /** Decoded, never empty. */
  readonly params: Readonly<Record<ParamsOf<Path>, string>>
  readonly searchParams: URLSearchParams
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
type Handlers<Path extends string> = { readonly [M in Method]?: (call: ApiCall<Path>) => Response | Promise<Response> }

/** By path template: what each method does. HEAD is answered by GET. */
export type ApiRoutes<Path extends string> = { readonly [P in Path]: Handlers<P> }

/** What an API has from its surroundings. */
export interface ApiParts {
  readonly authorize: Authorize
  /** A thrown thing as an answer; undefined: no such route. */
  readonly problem: (error: unknown) => StoredResponse
}

interface Route {
  readonly segments: readonly string[]
  readonly handlers: Handlers<string>
}

/**
 * Routes as one function: authorization first, so that nobody else learns what is here, then 404 and 405 as problems.
 * Whatever is thrown is an answer too. No answer may be stored, and a trailing slash does not matter.
 */
export function apiOf<Path extends string>(
  table: ApiRoutes<Path>,
  { authorize, problem: describe }: ApiParts,
): FetchHandler {
  // What is spelled out wins over a parameter.
  const routes = Object.entries<Handlers<string>>(table)
    .map(([path, handlers]): Route => ({ segments: segmentsOf(path), handlers }))
    .toSorted((a, b) => parameters(a) - parameters(b))

  async function answer(request: Request): Promise<Response> {
    const principal = await principalOf(authorize, request)
    if (principal instanceof Response) return principal
    const { pathname, searchParams } = new URL(request.url)
    const segments = segmentsOf(pathname)
    for (const { segments: template, handlers } of routes) {
      const params = match(template, segments)
      if (params === undefined) continue
      const method = (request.method === 'HEAD' ? 'GET' : request.method) as Method
      const handler = Object.hasOwn(handlers, method) ? handlers[method] : undefined
      if (handler === undefined) return notAllowed(handlers)
      const call = { request, params, searchParams }
      return await context.run(principal === undefined ? {} : { principal }, () => handler(call))
    }
    return responseOf(describe(undefined))
  }

  function notAllowed(handlers: Handlers<string>): Response {
    const allowed = allowOf(handlers)
    const response = responseOf(describe(problem(405, 'method-not-allowed', { detail: `allowed: ${allowed}` })))
    response.headers.set('Allow', allowed)
    return response
  }

  return async (request) => {
    try {
      return sealed(request, await answer(request))
    } catch (error) {
      // Undefined would mean that there is no such route.
      return sealed(request, responseOf(describe(error ?? new Error('nothing was thrown'))))
    }
  }
}

function segmentsOf(path: string): string[] {
  return path.split('/').filter((segment, i, all) => i > 0 && (segment !== '' || i < all.length - 1))
}

function parameters({ segments }: Route): number {
  return segments.filter((segment) => /^[:*]/.test(segment)).length
}

function match(template: readonly string[], segments: readonly string[]): Record<string, string> | undefined {
  const rest = template.at(-1)?.startsWith('*') === true
  if (rest ? segments.length < template.length : segments.length !== template.length) return undefined
  const params: Record<string, string> = {}
  for (const [i, expected] of template.entries()) {
    const segment = expected.startsWith('*') ? segments.slice(i).join('/') : segments[i]!
    if (!/^[:*]/.test(expected)) {
      if (segment !== expected) return undefined
      continue
    }
    const value = decoded(segment)
    if (value === undefined || value === '') return undefined
    params[expected.slice(1)] = value
  }
  return params
}

function decoded(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment)
  } catch {
    return undefined
  }
}

function allowOf(handlers: Handlers<string>): string {
  return Object.keys(handlers)
    .flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method]))
    .join(', ')
}

function responseOf({ status, headers, body }: StoredResponse): Response {
  const lines = [...headers, ['Content-Length', String(body.byteLength)]] as [string, string][]
  return new Response(body as Uint8Array<ArrayBuffer>, { status, headers: lines })
}
