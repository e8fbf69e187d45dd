import type { Clock } from '@keelson/kernel'
import { SignalHub, type Child } from '../pipeline/parent-signals.ts'

/** Read ahead of the caller: a body that fits ends, and gives its place back, although nobody reads it. */
const AHEAD_BYTES = 65_536

/** Streams that nobody holds any more: what they would have read is cancelled, as `fetch` does it with its own. */
const forgotten = new FinalizationRegistry<Cancelled>((source) => cancel(source, undefined))

type Controller = ReadableByteStreamController | ReadableStreamDefaultController<Uint8Array>

interface Cancelled {
  cancel(reason?: unknown): Promise<void>
}

/** What a body needs of its surroundings. */
export interface Surroundings {
  readonly clock: Clock
  readonly idleMs: number
  /** The caller's: it ends the body too. */
  readonly signal: AbortSignal | undefined
  /** The error of a body that is silent. */
  silence(): Error
}

/**
 * A body on its way to the caller: `stream` has its bytes. It keeps the place of its call until it has ended, and fails
 * when it is waited for and silent for `idleMs`. While the caller does not read, the upstream is not to blame: then only
 * the place goes back. A chunk costs no timer: the one of the body looks how long ago the last came.
 */
export class HeldBody implements Child {
  readonly stream: ReadableStream<Uint8Array>
  readonly #surroundings: Surroundings
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  #controller: Controller | undefined
  #release: (() => void) | undefined
  #timer: ReturnType<Clock['timer']> | undefined
  #progressMs = 0
  #isReading = false
  #isOver = false
  hub: SignalHub | undefined = undefined
  hubBefore: Child | undefined = undefined
  hubAfter: Child | undefined = undefined

  constructor(body: ReadableStream<Uint8Array>, surroundings: Surroundings) {
    const isOfBytes = takesByob(body)
    this.#surroundings = surroundings
    this.#reader = body.getReader()
    const source = {
      start: (controller: Controller) => void (this.#controller = controller),
      pull: () => this.#pull(),
      cancel: (reason: unknown) => {
        this.#end()
        return this.#reader.cancel(reason)
      },
    }
    this.stream = isOfBytes
      ? new ReadableStream({ ...source, type: 'bytes' }, { highWaterMark: AHEAD_BYTES })
      : new ReadableStream<Uint8Array>(source, { highWaterMark: AHEAD_BYTES, size: (chunk) => chunk.byteLength })
  }

  /** The caller has it now. False where it has ended already: nothing is kept. */
  hold(release: () => void): boolean {
    if (this.#isOver) return false
    this.#release = release
    if (this.#surroundings.signal !== undefined) SignalHub.of(this.#surroundings.signal).add(this)
    return true
  }

  /** Nobody is given it. */
  discard(): void {
    this.#end()
    cancel(this.#reader, undefined)
  }

  abort(reason: unknown): void {
    this.#end()
    this.#controller!.error(reason)
    cancel(this.#reader, reason)
  }

  async #pull(): Promise<void> {
    const controller = this.#controller!
    try {
      for (;;) {
        this.#began()
        const { done, value } = await this.#reader.read()
        this.#isReading = false
        if (this.#isOver) return
        this.#progressMs = this.#surroundings.clock.monotonic()
        if (done) {
          this.#end()
          controller.close()
          if ('byobRequest' in controller) controller.byobRequest?.respond(0)
          return
        }
        // An empty chunk is none.
        if (value.byteLength === 0) continue
        controller.enqueue(value)
        return
      }
    } catch (error) {
      this.#end()
      throw error
    }
  }

  #began(): void {
    this.#isReading = true
    this.#progressMs = this.#surroundings.clock.monotonic()
    if (this.#timer === undefined) this.#look(this.#surroundings.idleMs)
  }

  #look(inMs: number): void {
    const { clock, idleMs, silence } = this.#surroundings
    this.#timer = clock.timer(() => {
      this.#timer = undefined
      const leftMs = this.#progressMs + idleMs - clock.monotonic()
      if (leftMs > 0) this.#look(leftMs)
      else if (this.#isReading) this.abort(silence())
      else this.#leave()
    }, inMs)
  }

  /** The caller does not read on: from here on it is his own, and if he forgets it, the collector's. */
  #leave(): void {
    this.#giveBack()
    forgotten.register(this.stream, this.#reader)
  }

  #giveBack(): void {
    const release = this.#release
    this.#release = undefined
    release?.()
  }

  #end(): void {
    this.#isOver = true
    this.#timer?.cancel()
    this.#timer = undefined
    this.hub?.remove(this)
    this.#giveBack()
  }
}

/** Bytes of such a stream are handed on without a copy; those of another may be somebody else's too. */
function takesByob(body: ReadableStream): boolean {
  try {
    body.getReader({ mode: 'byob' }).releaseLock()
    return true
  } catch {
    return false
  }
}

function cancel(source: Cancelled, reason: unknown): void {
  source.cancel(reason).catch(() => {})
}
