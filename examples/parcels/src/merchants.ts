import { problem, type FetchHandler, type Http } from '@keelson/http'
import type { Action } from './audit.ts'
import { eraseMerchant } from './erasure.ts'
import { exportMerchant } from './export.ts'
import { authorizeOperator, isMerchant } from './http.ts'
import type { System } from './system.ts'

const EXPORT = /^\/(\w+)\/export$/
const ERASE = /^\/(\w+)$/

/**
 * For operators: `GET /merchants/:id/export` tells all that is held of a merchant, as JSON lines; with
 * `DELETE /merchants/:id` it leaves, and nothing of what it told stays.
 */
export function merchantsApi(http: Http, system: System): FetchHandler {
  async function answer(request: Request): Promise<Response> {
    const operator = await authorizeOperator(request)
    if (operator === undefined) throw problem(401, 'unauthenticated')
    const { pathname } = new URL(request.url)
    const isExport = EXPORT.test(pathname)
    const merchant = (isExport ? EXPORT : ERASE).exec(pathname)?.[1]
    if (merchant === undefined || !isMerchant(merchant)) throw problem(404, 'not-found')
    if (request.method !== (isExport ? 'GET' : 'DELETE')) throw problem(405, 'method-not-allowed')
    if (!isExport) return Response.json(await eraseMerchant(system, merchant, operator))
    const lines = ReadableStream.from(exportMerchant(system, merchant, operator)).pipeThrough(new TextEncoderStream())
    return new Response(lines, { headers: { 'content-type': 'application/jsonl', 'cache-control': 'no-store' } })
  }

  return async (request) => {
    try {
      return await answer(request)
    } catch (error) {
      const { status, headers, body } = http.problem(error)
      return new Response(Uint8Array.from(body), { status, headers: headers.map(([name, value]) => [name, value]) })
    }
  }
}

/** Reading a merchant's life is worth an entry, as ending it is. */
export function actionOnMerchant({ method }: Request): Action {
  return method === 'DELETE' ? 'merchant.erase' : 'merchant.export'
}
