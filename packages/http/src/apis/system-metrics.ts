import { getHeapStatistics } from 'node:v8'
import type { Clock, MetricFamily } from '@keelson/kernel'
import { family } from './family.ts'

/** What is known of this process at one moment. */
export interface SystemReading {
  readonly uptimeSeconds: number
  readonly cpuSeconds: { readonly user: number; readonly system: number }
  readonly memoryBytes: Readonly<Record<'resident' | 'heap_used' | 'heap_total' | 'heap_limit' | 'external', number>>
  /** Since the process began. */
  readonly eventLoopSeconds: { readonly active: number; readonly idle: number }
  /** How long its next turn took to come. */
  readonly eventLoopLagSeconds: number
  /** Sockets, timers, requests under way: what keeps the process alive, by type. */
  readonly handles: Readonly<Record<string, number>>
  readonly versions: Readonly<Record<'node' | 'v8' | 'platform' | 'arch', string>>
}

/** Reads it now; nothing is measured between two readings. */
export async function readSystem(clock: Clock): Promise<SystemReading> {
  const sinceMs = clock.monotonic()
  await new Promise<void>((resolve) => void clock.timer(resolve, 0, { ref: true }))
  const lagMs = clock.monotonic() - sinceMs
  const { rss, heapUsed, heapTotal, external } = process.memoryUsage()
  const { user, system } = process.cpuUsage()
  const { active, idle } = performance.eventLoopUtilization()
  return {
    uptimeSeconds: process.uptime(),
    cpuSeconds: { user: user / 1e6, system: system / 1e6 },
    memoryBytes: {
      resident: rss,
      heap_used: heapUsed,
      heap_total: heapTotal,
      heap_limit: getHeapStatistics().heap_size_limit,
      external,
    },
    eventLoopSeconds: { active: active / 1e3, idle: idle / 1e3 },
    eventLoopLagSeconds: lagMs / 1e3,
    handles: countsOf(process.getActiveResourcesInfo()),
    versions: {
      node: process.versions.node,
      v8: process.versions.v8,
      platform: process.platform,
      arch: process.arch,
    },
  }
}

/** A reading as metrics. */
export function systemFamilies(now: SystemReading): MetricFamily[] {
  const info = 'keelson_process_info'
  return [
    {
      name: info,
      type: 'gauge',
      help: 'Versions of the process; always 1.',
      samples: [{ name: info, labels: now.versions, value: 1 }],
    },
    family('keelson_process_uptime_seconds', 'gauge', 'Time since the process began.', now.uptimeSeconds),
    family('keelson_process_cpu_seconds_total', 'counter', 'Processor time.', now.cpuSeconds, 'mode'),
    family('keelson_process_memory_bytes', 'gauge', 'Memory of the process, by kind.', now.memoryBytes),
    family(
      'keelson_process_event_loop_seconds_total',
      'counter',
      'Time of the event loop, at work and waiting.',
      now.eventLoopSeconds,
      'state',
    ),
    family(
      'keelson_process_event_loop_lag_seconds',
      'gauge',
      'How long the next turn of the event loop took to come.',
      now.eventLoopLagSeconds,
    ),
    family(
      'keelson_process_handles',
      'gauge',
      'What keeps the process alive: sockets, timers, requests under way.',
      now.handles,
      'type',
    ),
  ]
}

function countsOf(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1
  return counts
}
