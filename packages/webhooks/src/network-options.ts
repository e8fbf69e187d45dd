import { checkOptions, opt, type Duration } from '@keelson/kernel'
import { optionFailure } from './error.ts'
import { SAFE_AGENT, type CheckedSafeAgent, type Readers, type SafeAgentOptions } from './safe-agent/options.ts'

/** How events are sent; durations as ms or '5s'. Of the options of `./safe-agent` two defaults differ: see there. */
export interface NetworkOptions extends SafeAgentOptions {
  /** How long one attempt may take: DNS, connect, TLS, head and body; default 15 s, at most 60 s. */
  readonly timeout?: Duration
  /** Bytes of an answer that are read; behind them its status decides and the socket is closed. Default 65,536. */
  readonly maxResponseBytes?: number
  /** Bytes of an answer that are kept with the attempt; default 16,384. */
  readonly keepResponseBytes?: number
  /** Default 'Keelson-Webhooks'. */
  readonly userAgent?: string
}

/** The options with their defaults; durations in ms. */
export interface CheckedNetwork extends CheckedSafeAgent {
  readonly timeout: number
  readonly maxResponseBytes: number
  readonly keepResponseBytes: number
  readonly userAgent: string
}

/** How the options are read: a group of `createWebhooks`. */
export const NETWORK: Readers<CheckedNetwork> = {
  ...SAFE_AGENT,
  httpsOnly: opt.boolean(true),
  maxSocketsPerOrigin: { ...SAFE_AGENT.maxSocketsPerOrigin, fallback: Infinity },
  timeout: opt.duration('15s', { min: 1, max: '60s' }),
  maxResponseBytes: opt.integer(65_536),
  keepResponseBytes: opt.integer(16_384),
  userAgent: opt.string('Keelson-Webhooks', { match: /^[\x20-\x7e]{1,256}$/ }),
}

/** @throws OPTION_INVALID */
export function checkNetwork(owner: string, given?: NetworkOptions): CheckedNetwork {
  return checkOptions(owner, given, NETWORK, optionFailure)
}
