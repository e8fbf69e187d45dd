/** A process under test, and what it is asked. */
import { createInterface } from 'node:readline'
import { startNodeProcess, type NodeProcess } from '../../src/node-process.ts'

/** What hangs takes for ever; a busy machine takes its time. */
const HANGS_MS = 60_000

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly code: string | undefined
  /** Of the time in which its process could run. */
  readonly tookMs: number
}

interface Ask {
  readonly as?: string
  readonly key?: string
  /** The correlation id, when it matters. */
  readonly id?: string
  readonly body?: object
}

/** A node as a client sees it. */
export interface Node extends Pick<NodeProcess, 'end'> {
  readonly url: string
  ask(method: string, path: string, o?: Ask): Promise<Answer>
}

/** `file` beside `main.ts` of parcels, which it is without. */
export async function startNode(env: Readonly<Record<string, string | number>>, file?: string): Promise<Node> {
  const timing = new URL('timing-worker.ts', import.meta.url)
  const { ready, child, end } = await startNodeProcess({ ...env, NODE_OPTIONS: `--import=${timing}` }, file)
  const waiting = new Map<string, (tookMs: number) => void>()
  createInterface({ input: child.stderr! }).on('line', (line) => {
    const [, id = '', tookMs] = /^answered (\S+) (\S+)$/.exec(line) ?? []
    waiting.get(id)?.(Number(tookMs))
    waiting.delete(id)
  })
  let asked = 0
  return {
    url: ready.url,
    end,
    async ask(method, path, { as = 'm1', key, id = `ask-${asked++}`, body }: Ask = {}) {
      const timed = new Promise<number>((resolve) => waiting.set(id, resolve))
      const response = await fetch(ready.url + path, {
        method,
        headers: {
          authorization: `Bearer ${as}`,
          'x-correlation-id': id,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(key === undefined ? {} : { 'idempotency-key': key }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(HANGS_MS),
      })
      const { status, headers } = response
      const text = await response.text()
      const isProblem = headers.get('content-type')?.startsWith('application/problem+json') === true
      const code = isProblem ? (JSON.parse(text) as { code: string }).code : undefined
      return { status, headers, text, code, tookMs: await timed }
    },
  }
}
