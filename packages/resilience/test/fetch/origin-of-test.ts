import { afterEach } from 'vitest'
import { startOrigin, type Origin } from './origin.ts'

const origins: Origin[] = []
afterEach(async () => {
  await Promise.all(origins.splice(0).map((one) => one.close()))
})

/** A server that ends with the test that asked for it. */
export async function origin(answer: Parameters<typeof startOrigin>[0]): Promise<Origin> {
  const one = await startOrigin(answer)
  origins.push(one)
  return one
}
