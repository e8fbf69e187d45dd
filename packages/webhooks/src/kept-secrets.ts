import { remembered } from './signing/remembered.ts'
import type { SealedSecret } from './store.ts'

/** Secrets as stores keep them in a text. */
export function writeSecrets(secrets: readonly SealedSecret[]): string {
  return JSON.stringify(secrets.map(({ sealed, untilMs }) => [Buffer.from(sealed).toString('base64'), untilMs]))
}

/** Every claim has them: those of busy endpoints are read once. */
const read = remembered(1_000, (text): readonly SealedSecret[] => {
  const kept = JSON.parse(text) as [string, number | null][]
  return kept.map(([sealed, untilMs]) => ({ sealed: new Uint8Array(Buffer.from(sealed, 'base64')), untilMs }))
})

/** Those of a text that still sign at this time; default all. */
export function readSecrets(text: string, nowMs: number = -Infinity): readonly SealedSecret[] {
  return read(text).filter(({ untilMs }) => untilMs === null || untilMs > nowMs)
}
