import type { StoredResponse } from '@keelson/kernel'
import type { Captured, CaptureOptions, Headers } from './exchange.ts'

/** Hands bytes on; false asks for a pause until 'drain'. `done` is called when more may be written. */
export type Go = (done?: () => void) => boolean

/**
 * 'keeping' until the answer is known to be whole or a part, 'saving' until that is saved, then 'through', or 'replaced':
 * what else the handler writes is dropped.
 */
type Phase = 'keeping' | 'saving' | 'through' | 'replaced'

/** Keeps the bytes of an answer on their way and says when they may leave. The part of a capture that adapters share. */
export interface AnswerTap {
  readonly phase: Phase
  /** Status and headers are fixed. */
  head(status: number, headers: Headers): void
  /** Bytes of the body. They are kept by reference. */
  chunk(bytes: Uint8Array, go: Go, done?: () => void): boolean
  /** The header block is wanted now. */
  flush(go: Go): void
  /** The last bytes, if any, and the end. */
  end(bytes: Uint8Array, go: Go): void
  /** The answer was broken off. */
  abandon(): void
}

/** What a tap needs from its adapter. */
export interface AnswerTapParts extends CaptureOptions {
  /** Of {@link Captured}. */
  readonly before: Headers
  readonly isHead: boolean
  /** The client has left: everything is held, for nobody waits for it. */
  isGone(): boolean
  /** As {@link Exchange.capture}. */
  save(captured: Captured): Promise<StoredResponse | undefined>
  /** Sends this in place of the handler's answer, of which nothing has left. */
  replace(response: StoredResponse): void
  /** Handing on failed, and no handler is left to hear of it. */
  fail(error: unknown): void
}

const NO_HEAD = { status: 0, headers: [] }

/**
 * Invariant: before `save` has settled, what comes last of the answer has not left. That is the newest chunk with bytes,
 * and the header block of an answer without a body.
 */
export function answerTap(parts: AnswerTapParts): AnswerTap {
  return new KeepingTap(parts)
}

/** A class: one is made for each captured answer. */
class KeepingTap implements AnswerTap {
  readonly #parts: AnswerTapParts
  #phase: Phase = 'keeping'
  #head: { status: number; headers: Headers } = NO_HEAD
  #hasBody = true
  #kept: Uint8Array[] = []
  #keptBytes = 0
  #waiting: Go[] = []
  #hasLeft = false
  #hasEnded = false
  /** What leaves when the handler is done with its own. */
  #other: StoredResponse | undefined

  constructor(parts: AnswerTapParts) {
    this.#parts = parts
  }

  get phase(): Phase {
    return this.#phase
  }

  head(status: number, headers: Headers): void {
    this.#head = { status, headers }
    this.#hasBody = !this.#parts.isHead && !isBodyless(status) && valueOf(headers, 'content-length') !== '0'
    if (this.#phase === 'keeping' && isStream(status, headers)) {
      this.#save({ kind: 'part', ...this.#head, why: 'stream' })
    }
  }

  chunk(bytes: Uint8Array, go: Go, done?: () => void): boolean {
    if (this.#phase === 'through') return go(done)
    const hasBytes = this.#hasBody && bytes.length > 0
    if (hasBytes && this.#phase === 'keeping') this.#keep(bytes)
    else if (hasBytes) this.#keptBytes += bytes.length
    // As much again while it is saved: a writer that is fast comes before that.
    const mayHold = this.#parts.hold === 'all' && this.#keptBytes <= this.#parts.maxBytes
    const holdsAll = mayHold || (this.#phase === 'keeping' && this.#parts.isGone())
    let isReady = true
    if (hasBytes && !holdsAll && this.#waiting.length > 0) isReady = this.#release(done)
    else if (done !== undefined) process.nextTick(done)
    this.#wait(go, hasBytes)
    return isReady
  }

  flush(go: Go): void {
    const mayLeave = this.#phase === 'keeping' && this.#hasBody && this.#parts.hold === 'last' && !this.#parts.isGone()
    if (this.#phase !== 'through' && !mayLeave) return this.#wait(go, false)
    this.#hasLeft = true
    go()
  }

  end(bytes: Uint8Array, go: Go): void {
    if (this.#phase === 'through') return void go()
    if (this.#phase === 'keeping' && this.#hasBody) this.#keep(bytes)
    this.#wait(go, true)
    this.#hasEnded = true
    if (this.#phase === 'keeping') this.#save(this.#whole())
    else this.#giveOther()
  }

  abandon(): void {
    if (this.#phase !== 'keeping') return this.#giveOther()
    this.#waiting = []
    this.#save({ kind: 'abandoned' })
  }

  #giveOther(): void {
    const other = this.#other
    this.#other = undefined
    if (other !== undefined) this.#parts.replace(other)
  }

  /** All that waits leaves; `done` is called with the last of it, so that writers by callback wait for the client too. */
  #release(done?: () => void): boolean {
    const going = this.#waiting
    this.#waiting = []
    let isReady = true
    for (let i = 0; i < going.length; i++) {
      this.#hasLeft = true
      isReady = going[i]!(i === going.length - 1 ? done : undefined)
    }
    return isReady
  }

  /** Without bytes of its own it must not push out what has some. */
  #wait(go: Go, hasBytes: boolean): void {
    if (this.#phase !== 'replaced' && (hasBytes || this.#waiting.length === 0)) this.#waiting.push(go)
  }

  async #settle(captured: Captured): Promise<void> {
    this.#phase = 'saving'
    this.#kept = []
    this.#keptBytes = 0
    let other: StoredResponse | undefined
    try {
      other = await this.#parts.save(captured)
    } catch {
      // Who saves also reports.
    }
    if (other === undefined || this.#hasLeft) {
      this.#phase = 'through'
      this.#release()
    } else {
      this.#phase = 'replaced'
      this.#waiting = []
      // An answer that is over leaves the handler with a source that nobody reads to its end, and so nobody closes.
      if (captured.kind === 'part' && captured.why === 'too-large' && !this.#hasEnded) this.#other = other
      else this.#parts.replace(other)
    }
  }

  #save(captured: Captured): void {
    this.#settle(captured).catch((error: unknown) => this.#parts.fail(error))
  }

  /** Keeps the bytes; at the limit what is kept is given up. */
  #keep(bytes: Uint8Array): void {
    this.#kept.push(bytes)
    this.#keptBytes += bytes.length
    if (this.#keptBytes > this.#parts.maxBytes) this.#save({ kind: 'part', ...this.#head, why: 'too-large' })
  }

  #whole(): Captured {
    const body = this.#kept.length === 1 ? this.#kept[0]! : Buffer.concat(this.#kept)
    return { kind: 'whole', response: { ...this.#head, body }, before: this.#parts.before }
  }
}

/** RFC 9110, section 6.4.1: no body, whatever was written. */
function isBodyless(status: number): boolean {
  return status < 200 || status === 204 || status === 304
}

function isStream(status: number, headers: Headers): boolean {
  return status === 101 || /^\s*text\/event-stream\b/i.test(valueOf(headers, 'content-type') ?? '')
}

function valueOf(headers: Headers, name: string): string | undefined {
  return headers.find(([one]) => one.toLowerCase() === name)?.[1]
}
