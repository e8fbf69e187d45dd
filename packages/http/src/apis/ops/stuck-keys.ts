import type { Idempotency, Stuck } from '@keelson/idempotency'
import { actionForm, answerOf, durationOf, field, nothing, table } from './elements.ts'
import { html, type Content, type Html } from './html.ts'
import type { Ask, Section } from './section.ts'

/** What the page needs of `createIdempotency()`. */
export type OpsIdempotency = Pick<Idempotency, 'stuck' | 'resolve'>

const LIMIT = 20

/** Keys of which nobody knows how their run ended, and what lets them run again. */
export function stuckKeys(idempotency: OpsIdempotency, ask: Ask): Section {
  const name = 'keys'

  /** Of no store that cannot list them; then the key itself must be known. */
  function listed(rows: readonly Stuck[] | undefined): Content {
    if (rows === undefined) return html`<p>This store does not list them.</p>`
    if (rows.length === 0) return nothing
    return table(
      ['operation', 'tenant', 'state', 'attempts', 'age', 'forgotten in', ''],
      rows.map(({ id, op, scope, state, attempt, ageMs, expiresInMs, operationId }) => [
        op,
        scope,
        state === 'unknown' ? 'unknown' : 'lost its lease',
        attempt,
        durationOf(ageMs),
        durationOf(expiresInMs),
        actionForm({ do: 'free', id }, 'Let it run again', {
          label: `Let ${op ?? 'operation'} ${operationId ?? id} run again`,
        }),
      ]),
    )
  }

  async function show(): Promise<Html> {
    const found = await ask(() => idempotency.stuck({ limit: LIMIT }))
    const fields = [
      field('Tenant', 'scope', null, { required: true }),
      field('Operation', 'op', null, { required: true, hint: 'POST /orders' }),
      field('Key', 'key', null, { required: true }),
      field('Principal, if any', 'by'),
    ]
    return html`<h2 id="${name}">Stuck keys</h2>
<p>Nobody knows how these runs ended. Find out first whether the work was done: what runs again does it again.</p>
${answerOf(found, listed)}
<details><summary>A key that is not listed</summary>${actionForm({ do: 'free-key' }, 'Let it run again', { fields })}</details>`
  }

  async function free(ref: Parameters<Idempotency['resolve']>[0]): Promise<{ see: string; done: string }> {
    return { see: name, done: (await idempotency.resolve(ref, 'retry')) ? 'freed' : 'not-freed' }
  }

  return {
    name,
    show,
    actions: {
      free: (query) => free({ id: query.get('id') ?? '' }),
      // A key may be a secret, so it is in no URL.
      'free-key'(_, body) {
        const [scope, op, key, by] = ['scope', 'op', 'key', 'by'].map((each) => body.get(each) ?? '')
        return free({ scope: scope!, op: op!, key: key!, ...(by === '' ? {} : { by: by! }) })
      },
    },
  }
}
