/** Awaits `run`, which `undo` ends early when `signal` aborts meanwhile; also when it already has. */
export async function abortable<T>(signal: AbortSignal, undo: () => unknown, run: () => Promise<T>): Promise<T> {
  const onAbort = (): void => void undo()
  if (signal.aborted) onAbort()
  signal.throwIfAborted()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await run()
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
