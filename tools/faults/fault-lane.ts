/** One direction of one proxied connection: what arrived stays in order until the network lets it through. */
import type { Socket } from 'node:net'

/** More than this is not read from the sender, who then feels it as any sender on a stalled network does. */
const HELD_BYTES = 1024 * 1024

/** What `openLane` asks while bytes pass. */
export interface LaneOptions {
  /** How long each chunk stays, ms; Infinity: until the next `pump`. */
  holdMs: () => number
  /** Bytes came from the sender. */
  arrived?: () => void
  /** Bytes are due; false: they are lost. */
  passes: (bytes: Buffer) => boolean
}

/** An open direction. */
export interface Lane {
  /** Delivers what is due; called after a change of `holdMs`. */
  pump(): void
  /** Loses everything from now on, the sender's end too. */
  lose(): void
}

type Item = { atMs: number } & ({ kind: 'bytes'; bytes: Buffer } | { kind: 'end' } | { kind: 'reset' })

/** Carries bytes, the end and a failure of `from` over to `to`. */
export function openLane(from: Socket, to: Socket, o: LaneOptions): Lane {
  const held: Item[] = []
  let heldBytes = 0
  let lost = false
  let timer: NodeJS.Timeout | undefined

  const hold = (item: Item): void => {
    if (lost) return
    held.push(item)
    heldBytes += sizeOf(item)
    if (heldBytes > HELD_BYTES) from.pause()
    pump()
  }
  const pump = (): void => {
    clearTimeout(timer)
    for (let item = held[0]; item !== undefined && !to.writableNeedDrain; item = held[0]) {
      const leftMs = item.atMs + o.holdMs() - performance.now()
      if (leftMs === Infinity) return
      if (leftMs > 0) {
        timer = setTimeout(pump, Math.ceil(leftMs))
        return
      }
      held.shift()
      heldBytes -= sizeOf(item)
      deliver(item)
    }
    if (heldBytes <= HELD_BYTES) from.resume()
  }
  const deliver = (item: Item): void => {
    if (to.destroyed) return
    if (item.kind === 'reset') to.resetAndDestroy()
    else if (item.kind === 'end') to.end()
    else if (o.passes(item.bytes)) to.write(item.bytes)
  }

  from.on('data', (bytes) => {
    o.arrived?.()
    hold({ kind: 'bytes', bytes, atMs: performance.now() })
  })
  from.on('end', () => hold({ kind: 'end', atMs: performance.now() }))
  from.on('error', () => hold({ kind: 'reset', atMs: performance.now() }))
  to.on('drain', pump)
  to.on('close', () => clearTimeout(timer))
  return {
    pump,
    lose: () => {
      lost = true
      held.length = 0
      heldBytes = 0
      clearTimeout(timer)
      from.resume()
    },
  }
}

const sizeOf = (item: Item): number => (item.kind === 'bytes' ? item.bytes.length : 0)
