import type { Sink } from '../sink.ts'
import type { SinkOptions } from '../sinks/sink-options.ts'

/** A sink with the receiver behind it, for one case. */
export interface SinkUnderTest {
  /**
   * A sink of this receiver, each time as another process has it. `options`, if it 'takes options', are those of every
   * sink of this package; the suite sets bounds of other sinks itself.
   */
  sink(options?: SinkOptions): Sink
  /** What the receiver has, in the order in which it came; copies count. */
  arrived(): Promise<readonly ArrivedEntry[]>
  /** How the receiver treats the next request, once; several: one request after the other. */
  fail?(fault: SinkFault): void
  /** Cuts every connection, and what was on its way is lost: of sinks that 'settle' by time. */
  cut?(): void
  /** Texts that must not stand in any reason: a token, a password. */
  readonly secrets?: readonly string[]
}

/** An entry as its receiver has it. */
export interface ArrivedEntry {
  /** Byte by byte: what was stored, or that with the member `seal` as its last one. */
  readonly document: Uint8Array
  /** Its place in the log, where that comes beside the document instead of in it; `leaf` in base64. */
  readonly seal?: { readonly log: string; readonly index: number; readonly leaf: string }
}

/** What a receiver does wrong; the suite asks only for what the subject says that it has. */
export type SinkFault =
  /** 'network': nothing is kept, the connection breaks. */
  | { readonly kind: 'reset' }
  /** 'network': nothing is kept, and nothing is answered. */
  | { readonly kind: 'hang' }
  /** 'status': all is kept, but the connection breaks in place of the answer. */
  | { readonly kind: 'lost' }
  /** 'status': nothing is kept. `retryAfter` as in the header; a redirect leads to the same place. */
  | { readonly kind: 'status'; readonly status: number; readonly retryAfter?: string }
  /** 'setup': as 'status', of the next request of `setup`. */
  | { readonly kind: 'setup'; readonly status: number }
  /** 'body': nothing is kept, and the answer is 200 with a page of HTML. */
  | { readonly kind: 'html' }
  /** 'items': these entries, by their place in the request, are not kept and have this status; 403: their index is blocked. */
  | { readonly kind: 'items'; readonly items: Readonly<Record<number, number>> }
  /** 'items': all is kept, but the answer tells nothing of the last one. */
  | { readonly kind: 'short' }
  /** 'names': nothing is kept; the answer calls this entry invalid, by its place. */
  | { readonly kind: 'invalid'; readonly place: number }
  /** 'counts': so many entries are not kept, and the answer does not say which. */
  | { readonly kind: 'partial'; readonly rejected: number }
