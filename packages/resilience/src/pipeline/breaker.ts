import type { CellState } from './cells.ts'
import { CallWindow, resized, TimeWindow, type RollingWindow } from './rolling-window.ts'
import type { Class } from './verdict.ts'

/** What a breaker says of its upstream. */
export type BreakerState = 'closed' | 'open' | 'half-open' | 'ramp'

/** Why a breaker changed. */
export type BreakerReason = 'rate' | 'slow' | 'consecutive' | 'probe' | 'lease' | 'time' | 'forced'

export interface BreakerSettings {
  readonly window: { readonly ms: number } | { readonly calls: number }
  readonly minCalls: number
  readonly failRate: number
  readonly consecutive: number | false
  readonly slow: { readonly overMs: number; readonly rate: number } | undefined
  readonly openMinMs: number
  readonly openMaxMs: number
  readonly probes: number
  readonly probeLeaseMs: number
  readonly rampUpMs: number
}

/** The answer of `admit`: refused, a ticket without a probe, or the number of the probe from 0 on. */
export const REFUSED = -2
export const NO_PROBE = -1

const CLOSED = 0
const OPEN = 1
const HALF_OPEN = 2
const RAMP = 3
const NAMES: readonly BreakerState[] = ['closed', 'open', 'half-open', 'ramp']

/** What ramps up begins with a tenth. */
const RAMP_FROM = 0.1
/** An upstream that asks for more is asked again all the same: one wrong header must not end a dependency for good. */
const LONGEST_RETRY_AFTER_MS = 3_600_000

/**
 * Breakers by cell. Each admission holds a ticket: the generation of the state that admitted it. A result of an older
 * generation says nothing of the present one and changes nothing. All is decided when somebody comes; nothing runs by
 * itself.
 */
export class Breakers implements CellState {
  readonly #settings: BreakerSettings
  readonly #random: () => number
  readonly #changed: (cell: number, from: BreakerState, to: BreakerState, reason: BreakerReason) => void
  readonly window: RollingWindow
  generation: Uint32Array = new Uint32Array()
  #state = new Uint8Array()
  /** Open: when it ends. Ramp: when it began. */
  #atMs = new Float64Array()
  /** Times in a row that probes failed. */
  #reopened = new Uint8Array()
  /** Failures since the last success. */
  #streak = new Uint32Array()
  #probesOk = new Uint32Array()
  /** Of each half-open cell: when the lease of each probe ends; 0 where none is under way. */
  readonly #leases = new Map<number, Float64Array>()

  constructor(
    settings: BreakerSettings,
    random: () => number,
    changed: (cell: number, from: BreakerState, to: BreakerState, reason: BreakerReason) => void,
  ) {
    this.#settings = settings
    this.#random = random
    this.#changed = changed
    const { window, slow } = settings
    this.window = 'calls' in window ? new CallWindow(window.calls) : new TimeWindow(window.ms, slow !== undefined)
  }

  /** REFUSED, NO_PROBE or the number of a probe. The ticket is this and `generation[cell]` of now. */
  admit(cell: number, nowMs: number): number {
    const state = this.#state[cell]
    if (state === CLOSED) return NO_PROBE
    if (state === RAMP) return this.#admitToRamp(cell, nowMs)
    if (state === OPEN) {
      if (nowMs < this.#atMs[cell]!) return REFUSED
      this.#change(cell, HALF_OPEN, 'time')
    }
    return this.#admitProbe(cell, nowMs)
  }

  isOpen(cell: number, nowMs: number): boolean {
    return this.#state[cell] === OPEN && nowMs < this.#atMs[cell]!
  }

  /** Whether `admit` would refuse, with nothing changed. */
  refuses(cell: number, nowMs: number): boolean {
    if (this.#state[cell] === OPEN) return nowMs < this.#atMs[cell]!
    if (this.#state[cell] !== HALF_OPEN) return false
    const { probes } = this.#settings
    const leases = this.#leases.get(cell)!
    const inFlight = leases.reduce((count, endsMs) => (endsMs === 0 ? count : count + 1), 0)
    return this.#probesOk[cell]! + inFlight >= probes && leases.every((endsMs) => endsMs === 0 || endsMs > nowMs)
  }

  settle(
    cell: number,
    generation: number,
    probe: number,
    verdict: Class,
    slow: boolean,
    retryAfterMs: number,
    nowMs: number,
  ): void {
    if (generation !== this.generation[cell]) return
    const failed = verdict !== 'ok'
    if (this.#state[cell] === HALF_OPEN) {
      const leases = this.#leases.get(cell)!
      const isLate = leases[probe]! <= nowMs
      leases[probe] = 0
      if (isLate) return this.#open(cell, nowMs, 'lease', 0)
      if (verdict === 'ignore') return
      if (failed || slow) return this.#open(cell, nowMs, failed ? 'probe' : 'slow', retryAfterMs)
      this.#probesOk[cell]!++
      if (this.#probesOk[cell]! >= this.#settings.probes) this.#close(cell, nowMs)
      return
    }
    if (verdict === 'ignore') return
    this.window.add(cell, nowMs, failed, slow)
    if (failed) this.#streak[cell]!++
    else this.#streak[cell] = 0
    // Only what is bad can make it worse.
    if (!failed && !slow) return
    const reason = this.#reasonToOpen(cell)
    if (reason !== undefined) this.#open(cell, nowMs, reason, retryAfterMs)
  }

  state(cell: number, nowMs: number): BreakerState {
    const state = this.#state[cell]!
    if (state === OPEN && nowMs >= this.#atMs[cell]!) return 'half-open'
    if (state === RAMP && this.#rampedUp(cell, nowMs) >= 1) return 'closed'
    return NAMES[state]!
  }

  /** Ms until an open one lets probes through; undefined where that is not known. */
  retryAfterMs(cell: number, nowMs: number): number | undefined {
    if (this.#state[cell] !== OPEN) return undefined
    return Math.max(0, this.#atMs[cell]! - nowMs)
  }

  /** Closed, with nothing remembered. */
  reset(cell: number): void {
    if (this.#state[cell] !== CLOSED) this.#change(cell, CLOSED, 'forced')
    this.clear(cell)
  }

  /** One that has been open for long over its time and was not asked since is nobody's: dead hosts must not stay. */
  isIdle(cell: number, nowMs: number): boolean {
    const isForgotten = this.#state[cell] === OPEN && nowMs >= this.#atMs[cell]! + this.#settings.openMaxMs
    return isForgotten || this.state(cell, nowMs) === 'closed'
  }

  clear(cell: number): void {
    this.window.clear(cell)
    this.#state[cell] = CLOSED
    this.#streak[cell] = this.#reopened[cell] = 0
    this.generation[cell]!++
  }

  resize(cells: number): void {
    this.window.resize(cells)
    this.generation = resized(this.generation, cells)
    this.#state = resized(this.#state, cells)
    this.#atMs = resized(this.#atMs, cells)
    this.#reopened = resized(this.#reopened, cells)
    this.#streak = resized(this.#streak, cells)
    this.#probesOk = resized(this.#probesOk, cells)
  }

  #reasonToOpen(cell: number): BreakerReason | undefined {
    const { minCalls, failRate, consecutive, slow } = this.#settings
    const failed = this.window.failed[cell]!
    // The failures of the streak are the newest ones, so of those inside the window as many as there are.
    if (consecutive !== false && Math.min(this.#streak[cell]!, failed) >= consecutive) return 'consecutive'
    const total = this.window.total[cell]!
    if (total < minCalls) return undefined
    if (failed >= failRate * total) return 'rate'
    return slow !== undefined && this.window.slow[cell]! >= slow.rate * total ? 'slow' : undefined
  }

  #admitProbe(cell: number, nowMs: number): number {
    const { probes, probeLeaseMs } = this.#settings
    const leases = this.#leases.get(cell)!
    let free = REFUSED
    let inFlight = 0
    for (let probe = 0; probe < probes; probe++) {
      const endsMs = leases[probe]!
      if (endsMs === 0) {
        if (free === REFUSED) free = probe
      } else if (endsMs > nowMs) inFlight++
      else {
        this.#open(cell, nowMs, 'lease', 0)
        return REFUSED
      }
    }
    if (this.#probesOk[cell]! + inFlight >= probes) return REFUSED
    leases[free] = nowMs + probeLeaseMs
    return free
  }

  #admitToRamp(cell: number, nowMs: number): number {
    const share = this.#rampedUp(cell, nowMs)
    // What ramps up is a closed one: tickets stay good.
    if (share >= 1) {
      this.#state[cell] = CLOSED
      this.#changed(cell, 'ramp', 'closed', 'time')
    }
    return share >= 1 || this.#random() < share ? NO_PROBE : REFUSED
  }

  #rampedUp(cell: number, nowMs: number): number {
    return RAMP_FROM + ((1 - RAMP_FROM) * (nowMs - this.#atMs[cell]!)) / this.#settings.rampUpMs
  }

  #close(cell: number, nowMs: number): void {
    this.window.clear(cell)
    this.#streak[cell] = this.#reopened[cell] = 0
    this.#atMs[cell] = nowMs
    this.#change(cell, this.#settings.rampUpMs > 0 ? RAMP : CLOSED, 'probe')
  }

  #open(cell: number, nowMs: number, reason: BreakerReason, retryAfterMs: number): void {
    const { openMinMs, openMaxMs } = this.#settings
    let openMs = openMinMs
    if (this.#state[cell] === HALF_OPEN) {
      const again = Math.min(255, this.#reopened[cell]! + 1)
      this.#reopened[cell] = again
      openMs += this.#random() * (Math.min(openMaxMs, openMinMs * 2 ** again) - openMinMs)
    }
    this.#atMs[cell] = nowMs + Math.max(openMs, Math.min(retryAfterMs, LONGEST_RETRY_AFTER_MS))
    this.#change(cell, OPEN, reason)
  }

  #change(cell: number, to: number, reason: BreakerReason): void {
    const from = this.#state[cell]!
    this.#state[cell] = to
    this.generation[cell]!++
    this.#probesOk[cell] = 0
    if (to === HALF_OPEN) this.#leases.set(cell, new Float64Array(this.#settings.probes))
    else this.#leases.delete(cell)
    this.#changed(cell, NAMES[from]!, NAMES[to]!, reason)
  }
}
