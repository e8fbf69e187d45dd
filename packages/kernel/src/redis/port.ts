import type { Script } from './script.ts'

/**
 * What a server answers, the same from every client and protocol: text of any kind is a Buffer, also OK and a score;
 * false is 0 and true 1; a map is a flat array of keys and values. An integer beyond 9e15 may have lost its last
 * digits: let the script answer it as text.
 */
export type RedisReply = Buffer | number | null | RedisReply[]

/** One word of a command. Strings go as UTF-8, numbers as their decimal text, bytes as they are, not copied. */
export type Arg = string | number | Uint8Array

/** One call of a script within a pipeline. `keys` are its KEYS, `args` its ARGV. */
export interface ScriptCall {
  readonly script: Script
  readonly keys: readonly string[]
  readonly args: readonly Arg[]
}

/** What a pipeline holds: the words of a command, its name first, or a script. */
export type PipelineCommand = readonly Arg[] | ScriptCall

/** What a subscription is told beside its messages. */
export interface SubscribeOptions {
  /** SSUBSCRIBE (Redis 7): only the channel's shard hears of it. Default false. */
  readonly sharded?: boolean
  /** The connection is gone: messages are missed from some moment before this call on. */
  readonly lost?: () => void
  /** Subscribed again: messages published from now on arrive. */
  readonly restored?: () => void
  /** Gives up opening: `subscribe` rejects with its reason, at once. Open, the subscription is closed by `close`. */
  readonly signal?: AbortSignal
}

/** An open subscription. */
export interface Subscription {
  /** No message is delivered any more once this was called. Repeatable; never rejects. */
  close(): Promise<void>
}

/**
 * Redis as Keelson's stores use it, over the user's own client, which is never reconfigured, connected or closed.
 *
 * A call rejects with the error of the client or the server, unchanged. It has no deadline: a client that is away may
 * keep it for ever and still send it later (ioredis' offline queue), so calls go through a store guard, and what
 * comes too late is its `late` result. A client may also send twice what it had no answer to: commands must be
 * repeatable.
 */
export interface RedisPort {
  readonly client: 'ioredis' | 'node-redis' | 'custom'
  readonly cluster: boolean
  /** True when the client knows SSUBSCRIBE. Whether the server does, only a try shows. */
  readonly sharded: boolean
  /**
   * Sends one command, its name first, to the master of the slot of `key`; null: to any master. 1 round trip.
   * On a Cluster all its keys must share the slot of `key`.
   */
  command(key: string | null, args: readonly Arg[]): Promise<RedisReply>
  /**
   * Sends all commands in one flight on one connection, to the master of the slot of `key`: WAIT counts the replicas
   * that have the writes before it. Rejects with the first error; the other commands have run. When the server does
   * not know a script, all from that script on are sent once more, so a command behind a script must be repeatable.
   * A script that finds its write already done must write again, or WAIT has nothing to wait for; and while WAIT waits,
   * the client's connection answers nobody else. 1 round trip, 2 then.
   */
  pipeline(key: string, commands: readonly PipelineCommand[]): Promise<RedisReply[]>
  /** Runs a script: EVALSHA, EVAL when the server does not know it. 1 round trip, 2 then. */
  script(script: Script, keys: readonly string[], args: readonly Arg[]): Promise<RedisReply>
  /**
   * Hears `channel`. All subscriptions of a port share one connection, opened by the first and closed with the last;
   * it reconnects for ever, at most 2 s apart. Resolves when the server has confirmed; rejects when it cannot now.
   */
  subscribe(channel: string, on: (message: Buffer) => void, o?: SubscribeOptions): Promise<Subscription>
  /**
   * The same server over a connection of its own, for commands that block. Rejects when it cannot connect now; after
   * its `close` a call rejects with CLOSED.
   */
  dedicated(): Promise<RedisPort & { close(): Promise<void> }>
}
