import type { Arg, RedisPort, RedisReply } from './port.ts'

/** The words of one command, its name first. */
export type Command = readonly Arg[]

/** What became of one command. */
export type Outcome =
  | { readonly kind: 'reply'; readonly reply: RedisReply }
  | { readonly kind: 'error'; readonly error: Error }

/** Sends all commands in one flight on one connection; one outcome each, in order. */
export type Send = (commands: readonly Command[]) => Promise<Outcome[]>

/** What happens on a connection that listens. */
export interface ListenerEvents {
  message(channel: string, message: Buffer, sharded: boolean): void
  /** The connection is gone, and not by `close`. Called once at most, and only for one that was open. */
  closed(): void
}

/** A channel to listen to. */
export interface Channel {
  readonly name: string
  readonly sharded: boolean
}

/** A connection that listens. It does not reconnect: its owner opens another one. */
export interface Listener {
  /** Repeatable. May never settle when the connection is gone meanwhile. */
  subscribe(channels: readonly Channel[]): Promise<void>
  unsubscribe(channel: Channel): Promise<void>
  /** Rejects, or never settles, on a connection that is dead. */
  ping(): Promise<unknown>
  /** Repeatable; never rejects. */
  close(): Promise<void>
}

/** A client as the port needs it: what differs between the families, and nothing else. */
export interface RedisDriver extends Pick<RedisPort, 'cluster' | 'sharded'> {
  readonly client: 'ioredis' | 'node-redis'
  /** To the master of the slot of `key`, or to any master. */
  send(key: string | null, commands: readonly Command[]): Promise<Outcome[]>
  /** Opens a connection of our own that listens; gives up when `signal` aborts. */
  listen(events: ListenerEvents, signal: AbortSignal): Promise<Listener>
  /** A connected copy of the client. */
  duplicate(): Promise<{ readonly driver: RedisDriver; close(): Promise<void> }>
}

/** The bytes of one word, not copied. */
export function bytes(arg: Uint8Array): Buffer {
  return Buffer.isBuffer(arg) ? arg : Buffer.from(arg.buffer, arg.byteOffset, arg.byteLength)
}
