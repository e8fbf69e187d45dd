/** A master, its replica and a Sentinel that promotes the replica when the master is killed or frozen. */
import { askRedis } from './ask-redis.ts'
import { startRedis, stopAtOnce, type RedisServer } from './redis.ts'
import { until } from './until.ts'

const NAME = 'keelson'
const READY_TIMEOUT_MS = 120_000
/** A Sentinel that stood still for two seconds does nothing for the next thirty. */
const FAILOVER_TIMEOUT_MS = 120_000
/** How long a master is silent until it is thought dead: before anybody waits for that, only a busy machine would be. */
const DOWN_AFTER_MS = { never: 600_000, failover: 500 }
/**
 * One Sentinel, which agrees with itself. Three vote, and on a busy machine they split their votes: each lost election
 * costs twice the failover timeout. Clients see no difference, and Sentinels do not fail in these tests.
 */
const QUORUM = 1

/** A running pair. */
export interface SentinelPair extends AsyncDisposable {
  /** What clients call the master. */
  readonly name: string
  readonly sentinels: readonly { host: string; port: number }[]
  /** The master at the start, and the replica at the start. */
  readonly master: RedisServer
  readonly replica: RedisServer
  /**
   * From the first call on the Sentinel replaces a master that is away. Resolves when it names another master than at
   * the last call (or the start), and that one says so too.
   */
  failedOver(): Promise<{ host: string; port: number }>
  /** Ends all three and removes their folders. Repeatable. */
  stop(): Promise<void>
}

/** Starts the three and waits until the Sentinel could promote the replica. */
export async function startSentinelPair(): Promise<SentinelPair> {
  await using started = new AsyncDisposableStack() // stops them when one fails
  const start = async (settings: Record<string, string>, ...args: string[]): Promise<RedisServer> => {
    const server = await startRedis({ settings, args })
    started.defer(() => stopAtOnce(server))
    return server
  }
  const master = await start({ 'repl-diskless-sync-delay': '0' })
  const replica = await start({ 'repl-diskless-sync-delay': '0', replicaof: `${master.host} ${master.port}` })
  await until('the replica follows', READY_TIMEOUT_MS, async () => {
    const info = String(await askRedis(replica.url, 'INFO', 'replication'))
    return info.includes('master_link_status:up') || undefined
  })
  // Only now: a Sentinel looks for replicas when it starts, and then every 10 s.
  const sentinel = await start(
    {
      'sentinel monitor': `${NAME} ${master.host} ${master.port} ${QUORUM}`,
      'sentinel down-after-milliseconds': `${NAME} ${DOWN_AFTER_MS.never}`,
      'sentinel failover-timeout': `${NAME} 2000`,
    },
    '--sentinel',
  )
  await until('the Sentinel knows the replica', READY_TIMEOUT_MS, async () => {
    const replicas = (await askRedis(sentinel.url, 'SENTINEL', 'REPLICAS', NAME)) as string[][]
    const fields = replicas[0] ?? []
    const field = (name: string): string | undefined => fields[fields.indexOf(name) + 1]
    return (field('flags') === 'slave' && field('master-link-status') === 'ok') || undefined
  })

  let known = master.port
  const failedOver = async (): Promise<{ host: string; port: number }> => {
    await askRedis(sentinel.url, 'SENTINEL', 'SET', NAME, 'down-after-milliseconds', DOWN_AFTER_MS.failover)
    return until('the Sentinel names another master', FAILOVER_TIMEOUT_MS, async () => {
      const [host = '', port] = (await askRedis(sentinel.url, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME)) as string[]
      if (Number(port) === known) return undefined
      const [role] = (await askRedis(`redis://${host}:${port}`, 'ROLE')) as string[]
      if (role !== 'master') return undefined
      known = Number(port)
      return { host, port: known }
    })
  }
  const running = started.move()
  const stop = (): Promise<void> => running.disposeAsync()
  return {
    name: NAME,
    sentinels: [{ host: sentinel.host, port: sentinel.port }],
    master,
    replica,
    failedOver,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
