import type { Delivery, Webhooks } from '@keelson/webhooks'
import { actionForm, answerOf, field, hrefOf, long, nothing, questionForm, table, timeOf } from './elements.ts'
import { html, type Content, type Html } from './html.ts'
import type { Ask, Section } from './section.ts'

/** What the page needs of `createWebhooks()`. */
export interface OpsWebhooks {
  readonly deliveries: Pick<Webhooks['deliveries'], 'list' | 'retry' | 'redrive'>
  readonly endpoints: Pick<Webhooks['endpoints'], 'get'>
}

type Dead = Awaited<ReturnType<OpsWebhooks['deliveries']['list']>>

const PAGE = 20

/** Deliveries of one tenant that ended without success, and what sends them again. */
export function deadDeliveries({ deliveries, endpoints }: OpsWebhooks, ask: Ask): Section {
  const name = 'deliveries'

  /** An endpoint by its URL; one that cannot be asked, or a handler, by its id alone. */
  async function urlsOf(items: readonly Delivery[]): Promise<Map<string, string>> {
    const refs = new Map(items.map(({ scope, endpoint: id }) => [id, { scope, id }]))
    const answers = [...refs].map(async ([id, ref]): Promise<[string, string]> => {
      const found = id.startsWith('fn:') ? undefined : await ask(() => endpoints.get(ref))
      return [id, found?.kind === 'answer' ? found.value.url : id]
    })
    return new Map(await Promise.all(answers))
  }

  function listed(scope: string, { items, next }: Dead, urls: ReadonlyMap<string, string>): Content {
    if (items.length === 0) return nothing
    const rows = items.map(({ id, type, endpoint, reason, attempts, finishedAt }) => [
      timeOf(finishedAt),
      html`<code>${id}</code>`,
      type,
      long(urls.get(endpoint)),
      reason ?? '',
      attempts,
      actionForm({ do: 'retry', scope, id }, 'Send again', { label: `Send ${id} again` }),
    ])
    return [
      actionForm({ do: 'redrive', scope }, `Redrive all that are dead of ${scope}`),
      table(['dead since', 'delivery', 'type', 'to', 'reason', 'attempts', ''], rows),
      next === null ? undefined : html`<p><a href="${hrefOf({ see: name, scope, after: next })}">Older</a></p>`,
    ]
  }

  async function page(scope: string, after: string | null): Promise<Content> {
    const query = { scope, status: 'dead', limit: PAGE, ...(after === null ? {} : { after }) } as const
    const dead = await ask(() => deliveries.list(query))
    const urls = await urlsOf(dead.kind === 'answer' ? dead.value.items : [])
    return answerOf(dead, (found) => listed(scope, found, urls))
  }

  async function show(query: URLSearchParams): Promise<Html> {
    const scope = query.get('scope')
    return html`<h2 id="${name}">Dead deliveries</h2>
${questionForm(name, 'Show', [field('Tenant', 'scope', scope, { required: true })])}
${scope === null ? undefined : await page(scope, query.get('after'))}`
  }

  return {
    name,
    show,
    actions: {
      async retry(query) {
        const scope = query.get('scope') ?? ''
        await deliveries.retry({ scope, id: query.get('id') ?? '' })
        return { see: name, scope, done: 'retried' }
      },
      async redrive(query) {
        const scope = query.get('scope') ?? ''
        await deliveries.redrive({ scope, status: 'dead' })
        return { see: name, scope, done: 'redriven' }
      },
    },
  }
}
