import { startWorker } from '../../../../tools/crash/worker-process.ts'
import type { WriteState } from '../../../../tools/crash/crash-runs.ts'
import type { Bookings } from './booking.ts'

/** What a witness is asked. */
export type Question =
  | { readonly ask: 'read'; readonly keys: readonly string[] }
  | { readonly ask: 'retry'; readonly key: string }
  | { readonly ask: 'totals' }

/** A process that opens the data folder after another has died, looks, and retries. */
export interface Witness {
  read(keys: readonly string[]): Promise<Map<string, WriteState>>
  retry(key: string): Promise<string>
  totals(): ReturnType<Bookings['totals']>
  leave(): Promise<void>
}

export async function callWitness(file: URL, env: Record<string, string>): Promise<Witness> {
  const worker = await startWorker<Question, unknown>(file, { ...env, ROLE: 'witness' })
  let answer: (message: unknown) => void = () => {}
  worker.onMessage((message) => answer(message))
  const ask = async (question: Question): Promise<unknown> => {
    const answered = new Promise((resolve) => (answer = resolve))
    worker.send(question)
    const first = await Promise.race([answered, worker.ended.then((how) => new Error(`the witness ended: ${how}`))])
    if (first instanceof Error) throw first
    return first
  }
  return {
    read: async (keys) => (await ask({ ask: 'read', keys })) as Map<string, WriteState>,
    retry: async (key) => (await ask({ ask: 'retry', key })) as string,
    totals: async () => (await ask({ ask: 'totals' })) as Awaited<ReturnType<Bookings['totals']>>,
    leave: worker.kill,
  }
}
