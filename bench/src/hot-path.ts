import { Bench } from 'tinybench'
import type { Figures, Running } from './case.ts'

/** One clock read costs as much as many a hot path, so it is shared by this many calls. */
const BATCH = 1000
const SCALES = { ns: 1e6, us: 1e3 } as const

/** The median time of one call of a synchronous `call`, by tinybench over batches. What it answers is kept alive. */
export function hotPath(unit: 'ns' | 'us', call: (i: number) => unknown): Running {
  let kept: unknown
  const batch = (): void => {
    for (let i = 0; i < BATCH; i++) kept = call(i)
  }
  return { run: (forMs) => timed(unit, forMs, batch), close: async () => void kept }
}

/** As `hotPath`, of calls that are awaited one after the other. */
export function hotAsyncPath(unit: 'ns' | 'us', call: (i: number) => Promise<unknown>): Running {
  const batch = async (): Promise<void> => {
    for (let i = 0; i < BATCH; i++) await call(i)
  }
  return { run: (forMs) => timed(unit, forMs, batch) }
}

async function timed(unit: 'ns' | 'us', forMs: number, batch: () => unknown): Promise<Figures> {
  const bench = new Bench({ time: forMs, warmup: false, throws: true })
  bench.add('batch', batch)
  await bench.run()
  const result = bench.tasks[0]!.result
  if (result.state !== 'completed') throw new Error(`tinybench: ${result.state}`)
  return { [unit]: (result.latency.p50 / BATCH) * SCALES[unit] }
}
