import type { Audit } from '@keelson/audit'
import type { FetchHandler } from '@keelson/http'
import { HOUSE, type Action } from './audit.ts'
import { principalOf } from './http.ts'

const READS = new Set(['GET', 'HEAD', 'OPTIONS'])
const MAX_PATH = 200
const ANONYMOUS = { type: 'anonymous', id: 'anonymous' }

/**
 * A management API whose writes are entries of the audit log, refused ones as well. The API has answered by then, and its
 * answer stays what it is when the log is away.
 */
export function auditedWrites(
  api: FetchHandler,
  {
    audit,
    action,
    route,
  }: {
    readonly audit: Audit
    /** A function also names the reads that are entries. */
    readonly action: Action | ((request: Request) => Action)
    readonly route: string
  },
): FetchHandler {
  async function tell(request: Request, status: number, ip: string | undefined): Promise<void> {
    const { pathname, search } = new URL(request.url)
    const principal = principalOf(request.headers.get('authorization'))
    await audit.record({
      scope: principal?.type === 'merchant' ? principal.id : HOUSE,
      action: typeof action === 'function' ? action(request) : action,
      actor: principal ?? ANONYMOUS,
      outcome: status < 400 ? 'success' : 'failure',
      where: { method: request.method, route, ...(ip === undefined ? {} : { ip }) },
      data: { status, path: (pathname + search).slice(0, MAX_PATH) },
    })
  }

  return async (request, info) => {
    const response = await api(request, info)
    if (READS.has(request.method) && typeof action !== 'function') return response
    await tell(request, response.status, info?.remoteAddress).catch((error: Error) => {
      console.error(`parcels: a request was not audited: ${error.message}`)
    })
    return response
  }
}
