import assert from 'node:assert/strict'
import { setTimeout } from 'node:timers/promises'

/** One step of the story: it asserts what its sentence says. */
export interface Step {
  readonly name: string
  run(): Promise<void>
}

/** Asks again and again, for a minute at most. */
export async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const endsMs = performance.now() + 60_000
  while (!(await holds())) {
    assert.ok(performance.now() < endsMs, `${what}: not within a minute`)
    await setTimeout(50)
  }
}
