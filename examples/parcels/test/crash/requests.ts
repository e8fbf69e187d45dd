import { correlationOf } from './counting.ts'

/** What a client hears. */
export interface Answer {
  readonly status: number
  readonly text: string
}

/** A request of the merchant. */
export async function ask(
  node: string,
  method: string,
  path: string,
  { key, body }: { readonly key?: string; readonly body?: string } = {},
): Promise<Answer> {
  const response = await fetch(node + path, {
    method,
    headers: {
      authorization: 'Bearer m1',
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(key === undefined ? {} : { 'idempotency-key': key, 'x-correlation-id': correlationOf(key) }),
    },
    ...(body === undefined ? {} : { body }),
  })
  return { status: response.status, text: await response.text() }
}

/** The addresses behind this id, as the node lists them. */
export async function listedBehind(node: string, id: string): Promise<string[]> {
  const found: string[] = []
  for (let after: string | null = id; after !== null;) {
    const { text } = await ask(node, 'GET', `/shipments?after=${after}&limit=100`)
    const { items, next } = JSON.parse(text) as { items: { to: string }[]; next: string | null }
    found.push(...items.map(({ to }) => to))
    after = next
  }
  return found
}
