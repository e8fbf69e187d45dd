import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** What takes more than 20 s, the longest first; part of a path. */
export const LONG: readonly string[] = [
  'packages/cache/test/crash/',
  'packages/cache/test/oracle/',
  'tools/test/crash.test',
  'packages/adapters-nest/test/conformance',
  'packages/cache/test/redis/store.test',
  'packages/resilience/test/limiter/stores.test',
  'packages/idempotency/test/store.test',
  'examples/parcels/test/',
  'packages/adapters-express/test/conformance',
  'packages/http/test/outage',
  'packages/audit/test/crash/',
  'packages/webhooks/test/crash/',
  'packages/idempotency/test/crash/',
  'packages/sync/test/crash/',
  'packages/sync/test/postgres/writers.test',
  'test/readme.test',
  'packages/adapters-express/test/broken-adapters',
]

/**
 * The order of the test files. Vitest knows what was slow in the last run, but not on a machine that runs them for the
 * first time: it goes by size then, one project behind the other, and ends with a long file on one core.
 */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return longestFirst(await super.sort(files))
  }
}

/** Those of `LONG` in its order, then the others as they came. */
export function longestFirst<T extends { readonly moduleId: string }>(files: readonly T[]): T[] {
  return files.toSorted((a, b) => placeOf(a.moduleId) - placeOf(b.moduleId))
}

function placeOf(path: string): number {
  const place = LONG.findIndex((each) => path.includes(each))
  return place === -1 ? LONG.length : place
}
