import { DEFAULTS, type EndpointConfig, type EndpointSettings, type GivenSettings } from './endpoint-config.ts'
import type { LaneRules } from './lane.ts'

/** The longest pause of a breaker. */
const MAX_COOLDOWN_MS = 10 * 60 * 1_000

/** What holds for one endpoint: its own settings over the application's over ours. */
export type SettingsOf = (own: GivenSettings) => EndpointSettings

export function createSettings(application: GivenSettings, timeoutMs: number): SettingsOf {
  const base: EndpointSettings = { ...DEFAULTS, timeout: timeoutMs, ...given(application) }
  return (own) => ({ ...base, ...given(own) })
}

/** What the store must know of it. */
export function rulesOf(settings: EndpointSettings, leaseMarginMs: number): LaneRules {
  const { concurrency, rate, timeout, breaker, disableAfter } = settings
  return {
    concurrency,
    rate: rate === null ? null : { limit: rate.limit, perMs: rate.per },
    leaseMs: Math.ceil(timeout + leaseMarginMs), // stores keep whole ms
    breaker:
      breaker === false
        ? null
        : { failures: breaker.failures, cooldownMs: breaker.cooldown, maxCooldownMs: MAX_COOLDOWN_MS },
    disableAfterMs: disableAfter === false ? null : disableAfter,
  }
}

/**
 * How long an attempt may take: its timeout, and never so long that its lease ends first. A lease is as long as the rules
 * were when its lane was written; an application that has been given a longer timeout since must not outlive it.
 */
export function attemptMs(timeoutMs: number, leaseMs: number, leaseMarginMs: number): number {
  return Math.min(timeoutMs, leaseMs - Math.min(leaseMarginMs, leaseMs / 4))
}

/** Of a handler: nothing of it is a receiver that could be down. */
export function handlerSettings(settings: EndpointSettings): EndpointSettings {
  return { ...settings, rate: null, breaker: false, disableAfter: false }
}

/** The settings among the members of an endpoint that are not undefined. */
function given(o: GivenSettings): Partial<EndpointSettings> {
  const { concurrency, rate, timeout, retry, breaker, disableAfter, signing } = o
  const all = { concurrency, rate, timeout, retry, breaker, disableAfter, signing }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
}

/** An endpoint's row, read: what was written, what holds, and what the store must know of it. */
export interface ReadEndpoint {
  readonly config: EndpointConfig
  readonly settings: EndpointSettings
  readonly rules: LaneRules
}

const MAX_CONFIGS = 10_000

/** Reads each `config` once: every attempt needs it. */
export function createEndpointReader(settingsOf: SettingsOf, leaseMarginMs: number): (config: string) => ReadEndpoint {
  const known = new Map<string, ReadEndpoint>()
  return (text) => {
    let read = known.get(text)
    if (read === undefined) {
      const config = JSON.parse(text) as EndpointConfig
      const settings = settingsOf(config)
      read = { config, settings, rules: rulesOf(settings, leaseMarginMs) }
      known.set(text, read)
      if (known.size > MAX_CONFIGS) known.delete(known.keys().next().value!)
    }
    return read
  }
}
