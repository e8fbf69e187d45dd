import { statusOfCode } from '../../status-table.ts'
import { problem } from '../../problem.ts'
import { formBody } from '../json-body.ts'
import type { ApiCall } from '../router.ts'
import type { Html } from './html.ts'
import { isSameOrigin } from './same-origin.ts'
import { DONE, type Ask, type Section } from './section.ts'

/** What is said on top of the page. */
interface Notice {
  readonly ok: boolean
  readonly text: string
}

/** What people ask and act on. */
export interface Desk {
  /** Each section, the one that is asked with its answer; undefined for who only watches. */
  show(query: URLSearchParams): Promise<readonly Html[] | undefined>
  /** What the page says that an action before it has done. */
  noticeOf(query: URLSearchParams): Notice | undefined
  /** Undefined where nothing can be done. */
  readonly act: ((call: ApiCall) => Promise<Acted>) | undefined
}

/** Where to look now, or why nothing was done. */
type Acted =
  | { readonly kind: 'done'; readonly query: Readonly<Record<string, string>> }
  | { readonly kind: 'failed'; readonly status: number; readonly notice: Notice }

export function createDesk(sections: readonly Section[], ask: Ask): Desk {
  const actions = new Map(sections.flatMap((section) => Object.entries(section.actions)))

  async function act({ request, searchParams }: ApiCall): Promise<Acted> {
    if (!isSameOrigin(request)) {
      throw problem(403, 'cross-origin', { detail: 'only a form of this page may do this' })
    }
    const action = actions.get(searchParams.get('do') ?? '')
    if (action === undefined)
      throw problem(400, 'input-invalid', { detail: `"do" must be one of ${[...actions.keys()].join(', ')}` })
    const body = await formBody(request)
    const done = await ask(() => action(searchParams, body))
    if (done.kind === 'answer') return { kind: 'done', query: done.value }
    const { code, message } = done
    return { kind: 'failed', status: statusOf(code), notice: { ok: false, text: `${code}: ${message}` } }
  }

  return {
    async show(query) {
      if (query.has('watch')) return undefined
      const see = query.get('see')
      const none = new URLSearchParams()
      return Promise.all(sections.map((section) => section.show(section.name === see ? query : none)))
    },
    noticeOf(query) {
      const done = query.get('done') ?? ''
      return Object.hasOwn(DONE, done) ? { ok: true, text: DONE[done]! } : undefined
    },
    act: actions.size === 0 ? undefined : act,
  }
}

/** What would be the application's mistake in a call of its own is the operator's here. */
function statusOf(code: string): number {
  if (code.endsWith('_INVALID')) return 400
  return code === 'NO_ANSWER' ? 503 : statusOfCode(code)
}
