/** How one cached value is handed to many callers, so that none can change what the others see. */
export type Share = 'freeze' | 'clone' | 'unsafe'

/** What is kept in memory of a value that was just decoded: nobody else holds it. */
export function kept(value: unknown, share: Share): unknown {
  return share === 'freeze' ? deepFreeze(value) : value
}

/** What a caller gets of a kept value. Bytes cannot be frozen, so they are copied. */
export function handedOut(value: unknown, share: Share): unknown {
  if (typeof value !== 'object' || value === null || share === 'unsafe') return value
  // A Buffer's own slice() copies nothing.
  if (value instanceof Uint8Array) return Uint8Array.prototype.slice.call(value)
  return share === 'clone' ? structuredClone(value) : value
}

function deepFreeze(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || Object.isFrozen(value)) return value
  Object.freeze(value)
  for (const member of Object.values(value)) deepFreeze(member)
  return value
}
