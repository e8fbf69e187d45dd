import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** What takes more than 20 s, the longest first; part of a path. */
const LONG = [
  'packages/cache/test/crash/',
  'packages/adapters-express/test/broken-adapters',
  'packages/cache/test/oracle/',
  'tools/test/crash.test',
  'packages/adapters-nest/test/conformance',
  'packages/cache/test/redis/store.test',
  'packages/idempotency/test/store.test',
  'examples/parcels/test/',
  'packages/adapters-express/test/conformance',
  'packages/http/test/outage',
  'packages/idempotency/test/crash/',
  'test/readme.test',
]

/**
 * The order of the test files. Vitest knows what was slow in the last run, but not on a machine that runs them for the
 * first time: it goes by size then, one project behind the other, and ends with a long file on one core.
 */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).toSorted((a, b) => placeOf(a) - placeOf(b))
  }
}

function placeOf({ moduleId }: TestSpecification): number {
  const place = LONG.findIndex((each) => moduleId.includes(each))
  return place === -1 ? LONG.length : place
}
