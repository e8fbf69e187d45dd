import type { RedisReply } from '@keelson/kernel/redis'
import { readSecrets } from '../kept-secrets.ts'
import type { Claim } from '../store.ts'
import { configsScript } from './claim.lua.ts'
import { eventOf } from './rows.ts'
import type { Shards } from './shards.ts'

/** What a claim sends with, as of a revision of its endpoint. */
interface LaneConfig {
  readonly revision: number
  readonly config: string
  readonly secrets: string
}

/** Lanes that this process remembers the config of. */
const MAX_LANES = 10_000

/** Reads claims. Config and secrets come with the first claim of a lane, and again when its endpoint has changed. */
export function createClaims(shards: Shards): {
  /** Of the claim script. */
  read(shard: string, reply: readonly Buffer[]): Promise<Claim[]>
} {
  const known = new Map<string, LaneConfig>()

  /** Of what they are missing or too old. */
  async function learn(shard: string, heads: readonly Head[]): Promise<void> {
    const missing = heads.filter((head) => known.get(nameOf(shard, head))?.revision !== head.revision)
    if (missing.length === 0) return
    const args = missing.map(({ lane }) => lane)
    const rows = (await shards.run(shard, configsScript, args)) as RedisReply[][]
    for (const [i, row] of rows.entries()) {
      const [revision, config, secrets] = row.map(String) as [string, string, string]
      const name = nameOf(shard, missing[i]!)
      known.delete(name)
      if (revision !== '') known.set(name, { revision: Number(revision), config, secrets })
    }
  }

  return {
    async read(shard, [now, ...rows]) {
      const heads = Array.from({ length: rows.length / 3 }, (_, i) => headOf(rows[3 * i]!))
      await learn(
        shard,
        heads.filter(({ isHandler }) => !isHandler),
      )
      const nowMs = Number(now)
      const claims = heads.flatMap((head, i): Claim[] => {
        const { leaseMs, attempts, spent, suspect } = head
        const config = head.isHandler ? null : known.get(nameOf(shard, head))
        const row = rows[3 * i + 1]
        // Its endpoint was removed meanwhile, and it is cancelled with it; or its event was evicted.
        if (config === undefined || row == null) return []
        const event = eventOf(row, rows[3 * i + 2]!)
        const token = { scope: event.scope, endpoint: head.endpoint, delivery: head.delivery, fence: head.fence }
        const endpoint = config && { config: config.config, secrets: readSecrets(config.secrets, nowMs) }
        return [{ token, leaseMs, attempts, spent, suspect, event, endpoint }]
      })
      while (known.size > MAX_LANES) known.delete(known.keys().next().value!)
      return claims
    },
  }
}

const nameOf = (shard: string, { lane }: Head): string => `${shard} ${lane}`

type Head = ReturnType<typeof headOf>

/** What the claim script packs, then the names of delivery and endpoint with a NUL between them. */
function headOf(packed: Buffer) {
  const [delivery, endpoint] = packed.toString('utf8', 35).split('\0') as [string, string]
  return {
    fence: packed.readUIntBE(0, 6),
    leaseMs: packed.readDoubleBE(6),
    attempts: packed.readUInt32BE(14),
    spent: packed.readUInt32BE(18),
    suspect: packed[22] === 1,
    lane: packed.readUIntBE(23, 6),
    revision: packed.readUIntBE(29, 6),
    delivery,
    endpoint,
    isHandler: endpoint.startsWith('fn:'),
  }
}
