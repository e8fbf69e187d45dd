import type { Case } from '@keelson/kernel/conformance'
import { stageOf, type Stage } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'

/** A case on a stage. */
export function storeCase(
  name: string,
  run: (stage: Stage) => Promise<void>,
  ...needs: readonly string[]
): Case<StoreUnderTest> {
  return { name, ...(needs.length === 0 ? {} : { needs }), run: (subject, tools) => run(stageOf(subject, tools)) }
}
