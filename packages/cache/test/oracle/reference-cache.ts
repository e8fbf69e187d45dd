import { randomBytes } from 'node:crypto'
import type { CacheTier, Hit, Miss, Ref } from '@keelson/cache'
import type { OracleNode, OracleSource } from '@keelson/cache/conformance'
import { encodeKey } from '../../src/key.ts'
import { implicitTags, keyOf } from '../../src/tag.ts'

const SCOPE = 'acme'
const TTL_MS = 3_600_000

/** The least that is a cache: read, load, fill, with no memory of its own. What the oracle itself is tested with. */
export function referenceCache(
  tier: CacheTier,
  source: OracleSource,
  o: { /** The right to fill is asked for when the load has ended. */ readonly stampAfterLoad?: boolean } = {},
): OracleNode {
  const node = randomBytes(6).toString('base64url')

  async function ask(ref: Ref): Promise<Hit | Miss> {
    const [answer] = await tier.read([ref], { lockMs: 0, node, body: true })
    return answer!
  }

  return {
    async read(key) {
      const encoded = encodeKey(key)
      const ref = { scope: SCOPE, key: encoded, declared: implicitTags(key, encoded, 1) }
      const before = await ask(ref)
      if (before.kind === 'hit') return Number(Buffer.from(before.body!).toString())
      const version = await source.load(key)
      const miss = o.stampAfterLoad === true ? await ask(ref) : before
      if (miss.kind === 'miss') {
        const body = Buffer.from(String(version))
        const id = randomBytes(6).toString('base64url')
        const entry = { body, codec: 'json', tags: ref.declared, fill: id, ttlMs: TTL_MS, graceMs: 0, loadMs: 1 }
        // oxlint-disable-next-line unicorn/no-array-fill-with-reference-type -- no array's
        await tier.fill(ref, miss.lease, entry, node)
      }
      return version
    },
    async write(key) {
      const version = await source.advance(key)
      await tier.bump([{ scope: SCOPE, tags: [keyOf(key)] }], node)
      return version
    },
  }
}
