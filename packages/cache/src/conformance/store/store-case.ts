import type { Case } from '@keelson/kernel/conformance'
import { onStage, type Stage } from '../stage.ts'
import type { CacheStoreUnderTest } from '../store-under-test.ts'

/** A case on a stage. */
export function storeCase(
  name: string,
  run: (stage: Stage) => Promise<void>,
  ...needs: readonly string[]
): Case<CacheStoreUnderTest> {
  return { name, ...(needs.length === 0 ? {} : { needs }), run: (under, tools) => onStage(under, tools, run) }
}
