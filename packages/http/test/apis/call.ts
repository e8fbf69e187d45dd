import type { FetchHandler } from '@keelson/http'

/** One answer, read. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** Its JSON, where it is some. */
  readonly body: any
}

/** Asks an API as an adapter does: with the path behind its mount point. */
export async function call(api: FetchHandler, path: string, init: RequestInit = {}): Promise<Answer> {
  const response = await api(new Request(`http://localhost${path}`, init))
  const text = await response.text()
  const isJson = /[/+]json$/.test(response.headers.get('Content-Type') ?? '')
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: isJson && text !== '' ? (JSON.parse(text) as unknown) : undefined,
  }
}
