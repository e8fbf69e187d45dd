/** What a test of tools/browser runs in a tab. */
export async function see(): Promise<{ secure: boolean; lock: string | undefined }> {
  const { isSecureContext, navigator } = globalThis as unknown as {
    isSecureContext: boolean
    navigator: { locks: { request(name: string, held: (lock: { name: string }) => string): Promise<string> } }
  }
  return { secure: isSecureContext, lock: await navigator.locks.request('mine', ({ name }) => name) }
}

export function complain(): void {
  console.error('this went wrong')
  setTimeout(() => {
    throw new Error('nobody caught this')
  })
}
