const SPECIAL = /["\\]/g

/** Texts as Postgres writes an array, for a parameter that the statement casts: no driver's idea of lists is asked. */
export function textArray(texts: readonly (string | null)[]): string {
  return `{${texts.map((text) => (text === null ? 'NULL' : `"${text.replace(SPECIAL, '\\$&')}"`)).join(',')}}`
}

/** The same of numbers and booleans. */
export function plainArray(values: readonly (number | boolean | null)[]): string {
  return `{${values.map((value) => value ?? 'NULL').join(',')}}`
}
