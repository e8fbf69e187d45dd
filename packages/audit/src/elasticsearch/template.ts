import { DeliveryFailure } from '../sinks/delivery-failure.ts'
import { jsonOf } from '../sinks/json-of.ts'
import { post } from '../sinks/post.ts'
import type { Fetch } from '../sinks/sink-options.ts'

/** Members that hold anything: kept as flat keywords, so that a number here and a text there never break a mapping. */
const ANYTHING = ['changes', 'data', 'sealed'] as const
const KEYWORDS = ['id', 'kind', 'category', 'type', 'action', 'outcome'] as const

/** Puts the index template. OpenSearch calls `flattened` `flat_object`. @throws DeliveryFailure */
export async function putTemplate(o: {
  readonly root: string
  readonly pattern: string
  readonly headers: Readonly<Record<string, string>>
  readonly fetch: Fetch | undefined
  readonly signal: AbortSignal
}): Promise<void> {
  const { root, pattern, signal, fetch } = o
  const headers = { ...o.headers, 'content-type': 'application/json' }
  const about = await post({ url: new URL(root), method: 'GET', headers, body: undefined, signal, fetch })
  const { version } = (about.kind === 'answered' ? jsonOf(about.text) : {}) as { version?: { distribution?: string } }
  const flat = version?.distribution === 'opensearch' ? 'flat_object' : 'flattened'
  const bare = pattern.replaceAll(/[^a-z0-9._-]/g, '').replace(/-+$/, '')
  const name = bare.startsWith('keelson-audit') ? bare : `keelson-audit-${bare}`
  const body = JSON.stringify({ index_patterns: [pattern], priority: 200, template: { mappings: mappings(flat) } })
  const url = new URL(`_index_template/${encodeURIComponent(name)}`, root)
  const answer = await post({ url, method: 'PUT', headers, body, signal, fetch })
  if (answer.kind === 'halt') throw new DeliveryFailure(`the index template: ${answer.reason}`, { halt: true })
  if (answer.status === 400)
    throw new DeliveryFailure(`the index template: ${answer.text.slice(0, 300)}`, { halt: true })
}

function mappings(flat: string): object {
  const keyword = { type: 'keyword', ignore_above: 1_024 }
  const keywords = (names: readonly string[]): object => Object.fromEntries(names.map((name) => [name, keyword]))
  return {
    dynamic: true,
    properties: {
      '@timestamp': { type: 'date' },
      event: { properties: { ...keywords(KEYWORDS), reason: { type: 'text' } } },
      organization: { properties: keywords(['id']) },
      user: { properties: keywords(['id', 'name', 'roles']) },
      trace: { properties: keywords(['id']) },
      audit: {
        properties: {
          ...Object.fromEntries(ANYTHING.map((name) => [name, { type: flat }])),
          ...keywords(['actor_type', 'correlation', 'redacted']),
          target: { properties: keywords(['type', 'id', 'name']) },
        },
      },
      seal: { properties: { ...keywords(['log', 'leaf']), index: { type: 'long' } } },
    },
  }
}
