import type { MetricFamily } from '@keelson/kernel'
import { family } from './family.ts'
import type { HealthLike, HealthReport } from './health-api.ts'

/** The three reports of one moment. */
export interface HealthReading {
  readonly live: HealthReport
  readonly ready: HealthReport
  readonly startup: HealthReport
}

/** All three at once. */
export async function readHealth(health: HealthLike): Promise<HealthReading> {
  const [live, ready, startup] = await Promise.all([health.liveness(), health.readiness(), health.startup()])
  return { live, ready, startup }
}

/** Health as metrics: 1 is good. */
export function healthFamilies({ live, ready, startup }: HealthReading): MetricFamily[] {
  const checks = Object.entries(ready.checks)
  const up = 'keelson_health_check_up'
  return [
    family(
      'keelson_health_up',
      'gauge',
      'Whether a probe is answered 200.',
      { live: Number(live.ok), ready: Number(ready.ok), startup: Number(startup.ok) },
      'probe',
    ),
    family('keelson_health_degraded', 'gauge', 'Ready, but a check fails.', Number(ready.status === 'degraded')),
    {
      name: up,
      type: 'gauge',
      help: 'Whether a check of readiness passes.',
      samples: checks.map(([check, { ok, critical }]) => ({
        name: up,
        labels: { check, critical: String(critical) },
        value: Number(ok),
      })),
    },
    family(
      'keelson_health_check_seconds',
      'gauge',
      'How long a check of readiness took.',
      Object.fromEntries(checks.map(([check, { ms }]) => [check, ms / 1e3])),
      'check',
    ),
  ]
}
