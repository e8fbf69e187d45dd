import type { Row } from '../../src/store.ts'

/** What the worker that is killed and those who look at its files agree upon. */
export const LOG = 'main'

function keyTextOf(id: string): string {
  return `key of ${id}`
}

/** Its bytes tell whether they are its own and whole. */
export function rowOf(id: string, hasKey: boolean): Row {
  const wrapped = Buffer.from(keyTextOf(id))
  return {
    id,
    bytes: Buffer.from(JSON.stringify({ id, hasKey, text: id.repeat(1 + (id.charCodeAt(35) % 20)) })),
    keys: hasKey ? [{ scope: 'acme', ref: `ref-${id}`, wrapped }] : [],
  }
}
