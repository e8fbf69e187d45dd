import type { Explained } from '../explain.ts'
import { field, long, nothing, questionForm, table, timeOf } from './elements.ts'
import { html, type Content, type Html } from './html.ts'
import type { Section } from './section.ts'

/** The life of one correlation id. */
export function explainBox(explained: (id: string) => Promise<Explained>): Section {
  const name = 'explain'

  function life({ rows, silent }: Explained): Content {
    const lines = rows.map(({ at, kind, text }) => [timeOf(at), kind, long(text)])
    return [
      table(['at', 'what', ''], lines) ?? nothing,
      silent.map((one) => html`<p role="alert" class="down">Somebody did not answer: ${one}</p>`),
    ]
  }

  async function show(query: URLSearchParams): Promise<Html> {
    const id = query.get('id')
    return html`<h2 id="${name}">Explain</h2>
${questionForm(name, 'Explain', [field('Correlation id', 'id', id, { required: true })])}
${id ? life(await explained(id)) : undefined}`
  }

  return { name, show, actions: {} }
}
