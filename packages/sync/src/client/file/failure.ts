/** An error of the store, with what the file system said. */
export function storeFailure(message: string, cause?: unknown): Error {
  return new Error(message, { cause })
}
