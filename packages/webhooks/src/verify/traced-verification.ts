import { traced } from '@keelson/kernel'

/** A verification that listeners of `keelson:webhooks:verify` hear of. They are told how it ended, never what came. */
export async function tracedVerification<T>(scheme: string, verify: () => Promise<T>): Promise<T> {
  let answer: { readonly value: T } | undefined
  await traced(
    'webhooks:verify',
    () => ({ scheme }),
    async () => {
      answer = { value: await verify() }
    },
  )
  return answer!.value
}
