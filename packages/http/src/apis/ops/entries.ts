import type { Audit, Entry } from '@keelson/audit'
import { context } from '@keelson/kernel'
import { queryFrom } from '../audit-query.ts'
import { pageOf } from '../query-of.ts'
import { answerOf, field, hrefOf, link, nothing, questionForm, table, timeOf } from './elements.ts'
import { html, type Content, type Html } from './html.ts'
import type { Ask, Section } from './section.ts'

/** What the page needs of `createAudit()`. */
export type OpsAudit = Pick<Audit, 'query'>

const PAGE = 20
const FIELDS = ['actor', 'action', 'target', 'outcome'] as const

/** The log of who did what, of all tenants or of one. */
export function auditSearch(audit: OpsAudit, ask: Ask): Section {
  const name = 'entries'

  async function page(query: URLSearchParams): Promise<Content> {
    // An empty field of a form asks for nothing.
    const given = Object.fromEntries(FIELDS.map((each) => [each, query.get(each)]).filter(([, text]) => text))
    const after = query.get('after')
    const principal = context.get()?.principal
    const { entries, next } = await audit.query(
      {
        ...queryFrom(given as Record<string, string>),
        ...pageOf(after === null ? {} : { after }),
        scope: query.get('scope') || '*',
        limit: PAGE,
      },
      principal,
    )
    if (entries.length === 0) return nothing
    const older = { ...Object.fromEntries(query), ...(next === undefined ? {} : { after: next }) }
    return [
      table(['at', 'tenant', 'action', 'outcome', 'actor', 'target', 'correlation id', ''], entries.map(rowOf)),
      next === undefined ? undefined : html`<p><a href="${hrefOf(older)}">Older</a></p>`,
    ]
  }

  async function show(query: URLSearchParams): Promise<Html> {
    const found = query.size === 0 ? undefined : await ask(() => page(query))
    const fields = [
      field('Tenant', 'scope', query.get('scope'), { hint: 'all' }),
      field('Actor', 'actor', query.get('actor'), { hint: 'user:u_17' }),
      field('Action', 'action', query.get('action'), { hint: 'order.*' }),
      field('Target', 'target', query.get('target'), { hint: 'order:17' }),
      field('Outcome', 'outcome', query.get('outcome'), { hint: 'failure' }),
    ]
    return html`<h2 id="${name}">Who did what</h2>
${questionForm(name, 'Search', fields)}
${found && answerOf(found, (content) => content)}`
  }

  return { name, show, actions: {} }
}

function rowOf({ at, scope, action, outcome, actor, target, correlationId, ...rest }: Entry): Content[] {
  const { index, where, reason, changes, data } = rest
  return [
    timeOf(at),
    scope,
    action,
    outcome,
    `${actor.type}:${actor.id}`,
    target && `${target.type}:${target.id}`,
    correlationId && link(correlationId, { see: 'explain', id: correlationId }),
    html`<details><summary>Entry ${index}</summary><code>${JSON.stringify({ where, reason, changes, data })}</code></details>`,
  ]
}
