import type { Clock } from '@keelson/kernel'
import { append, createLinkedList, remove, type Link, type LinkedList } from '../linked-list.ts'

/** What is called when its time is over; `cancel` ends it before. */
export type Deadline = Link<Due>

interface Due {
  readonly endsMs: number
  readonly reached: () => void
}

/** Deadlines that are rarely reached: all of one length share a timer, for that costs more than the rest of an attempt's end. */
export interface Deadlines {
  /** Calls `reached` in `limitMs` from `nowMs`, an instant on `clock.monotonic()`. */
  begin(limitMs: number, nowMs: number, reached: () => void): Deadline
  cancel(deadline: Deadline): void
  /** Calls nobody any more. */
  stop(): void
}

/** Those of one length, in the order of their ends. */
interface Line {
  readonly dues: LinkedList<Due>
  timer: { cancel(): void } | undefined
}

export function createDeadlines(clock: Clock): Deadlines {
  const lines = new Map<number, Line>()

  /** The timer is not cancelled with the deadline that it was set for: it looks for those that are there then. */
  function arm(limitMs: number, line: Line, inMs: number): void {
    line.timer = clock.timer(() => {
      for (let { first } = line.dues; first !== undefined; first = line.dues.first) {
        const leftMs = first.value.endsMs - clock.monotonic()
        if (leftMs > 0) return arm(limitMs, line, leftMs)
        remove(first)
        first.value.reached()
      }
      // Lengths come and go with the settings of endpoints.
      lines.delete(limitMs)
    }, inMs)
  }

  return {
    begin(limitMs, nowMs, reached) {
      let line = lines.get(limitMs)
      if (line === undefined) {
        line = { dues: createLinkedList(), timer: undefined }
        lines.set(limitMs, line)
        arm(limitMs, line, limitMs)
      }
      return append(line.dues, { endsMs: nowMs + limitMs, reached })
    },
    cancel: remove,
    stop() {
      for (const { timer } of lines.values()) timer?.cancel()
      lines.clear()
    },
  }
}
