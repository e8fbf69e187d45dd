import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { crashRuns, randomDeaths, type Death } from '../../../../tools/crash/crash-runs.ts'
import { callWitness, type Witness } from './pglite-witness.ts'

const IN_FLIGHT = 8
const RUNS = process.env['LONG'] === '1' ? 500 : 50

test(`an embedded database killed in the middle of ${IN_FLIGHT} writes recovers each whole or not at all: ${RUNS} runs`, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'keelson-pglite-'))
  const worker = new URL('./pglite-worker.ts', import.meta.url)
  const env = { DATA_FOLDER: join(folder, 'data'), SCHEMA: 'crash' }
  // Behind the claim, the business row, and the answer, in front of COMMIT.
  const boundaries: Death[] = [1, 4, 6].map((flight) => ({ flight, when: 'answered' }))
  const deaths = [...boundaries, ...randomDeaths(Math.ceil(RUNS / IN_FLIGHT) - boundaries.length, 40)]
  let witness: Witness | undefined

  const report = await crashRuns({
    worker,
    env,
    inFlight: IN_FLIGHT,
    exclusive: true,
    deaths,
    settled: async () => {
      witness = await callWitness(worker, env)
    },
    read: (keys) => witness!.read(keys),
    retry: (key) => witness!.retry(key),
    judged: () => witness!.leave(),
  })
  console.log(`crash, PGlite: ${JSON.stringify({ ...report, broken: report.broken.length })}`)

  expect(report.broken).toEqual([])
  expect(report.runs).toBeGreaterThanOrEqual(RUNS)
  const last = await callWitness(worker, env)
  const { bookings, effects, answers, unfinished } = await last.totals()
  expect([effects, answers, unfinished]).toEqual([bookings, bookings, 0])
  await last.leave()
  await rm(folder, { recursive: true })
}, 900_000)
