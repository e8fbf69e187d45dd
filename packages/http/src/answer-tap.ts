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

/**
 * Invariant: before `save` has settled, what comes last of the answer has not left. That is the newest chunk with bytes,
 * and the header block of an answer without a body.
 */
export function answerTap({ maxBytes, hold, isHead, ...parts }: AnswerTapParts): AnswerTap {
  let phase: Phase = 'keeping'
  let head: { status: number; headers: Headers } = { status: 0, headers: [] }
  let hasBody = true
  let kept: Uint8Array[] = []
  let keptBytes = 0
  let waiting: Go[] = []
  let hasLeft = false

  /** All that waits leaves; `done` is called with the last of it, so that writers by callback wait for the client too. */
  function release(done?: () => void): boolean {
    const going = waiting
    waiting = []
    let isReady = true
    for (const [i, go] of going.entries()) {
      hasLeft = true
      isReady = go(i === going.length - 1 ? done : undefined)
    }
    return isReady
  }

  /** Without bytes of its own it must not push out what has some. */
  function wait(go: Go, hasBytes: boolean): void {
    if (phase !== 'replaced' && (hasBytes || waiting.length === 0)) waiting.push(go)
  }

  async function settle(captured: Captured): Promise<void> {
    phase = 'saving'
    kept = []
    let other: StoredResponse | undefined
    try {
      other = await parts.save(captured)
    } catch {
      // Who saves also reports.
    }
    if (other === undefined || hasLeft) {
      phase = 'through'
      release()
    } else {
      phase = 'replaced'
      waiting = []
      parts.replace(other)
    }
  }

  function save(captured: Captured): void {
    settle(captured).catch(parts.fail)
  }

  /** Keeps the bytes; at the limit what is kept is given up. */
  function keep(bytes: Uint8Array): void {
    kept.push(bytes)
    keptBytes += bytes.length
    if (keptBytes > maxBytes) save({ kind: 'part', ...head, why: 'too-large' })
  }

  function whole(): Captured {
    const body = kept.length === 1 ? kept[0]! : Buffer.concat(kept)
    return { kind: 'whole', response: { ...head, body } }
  }

  return {
    get phase() {
      return phase
    },

    head(status, headers) {
      head = { status, headers }
      hasBody = !isHead && !isBodyless(status) && valueOf(headers, 'content-length') !== '0'
      if (phase === 'keeping' && isStream(status, headers)) save({ kind: 'part', ...head, why: 'stream' })
    },

    chunk(bytes, go, done) {
      if (phase === 'through') return go(done)
      const hasBytes = hasBody && bytes.length > 0
      if (hasBytes && phase === 'keeping') keep(bytes)
      const holdsAll = phase === 'keeping' && (hold === 'all' || parts.isGone())
      let isReady = true
      if (hasBytes && !holdsAll && waiting.length > 0) isReady = release(done)
      else if (done !== undefined) process.nextTick(done)
      wait(go, hasBytes)
      return isReady
    },

    flush(go) {
      const mayLeave = phase === 'keeping' && hasBody && hold === 'last' && !parts.isGone()
      if (phase !== 'through' && !mayLeave) return wait(go, false)
      hasLeft = true
      go()
    },

    end(bytes, go) {
      if (phase === 'through') return void go()
      if (phase === 'keeping' && hasBody) keep(bytes)
      wait(go, true)
      if (phase === 'keeping') save(whole())
    },

    abandon() {
      if (phase !== 'keeping') return
      waiting = []
      save({ kind: 'abandoned' })
    },
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
