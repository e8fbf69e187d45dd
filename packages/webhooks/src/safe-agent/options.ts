import { checkOptions, opt, type Duration, type Opt } from '@keelson/kernel'
import { optionFailure } from '../error.ts'
import { parseCidr, type Cidr } from './cidr.ts'

/** All addresses of a host name; rejects when there are none. */
export type ResolveHost = (host: string) => Promise<readonly { readonly address: string; readonly family: 4 | 6 }[]>

/** What may be dialled, and how; durations as ms or '5s'. */
export interface SafeAgentOptions {
  /** CIDRs that may be dialled although they are special, such as '127.0.0.1/32' in tests; none by default. */
  readonly allow?: readonly string[]
  /** CIDRs that may not be dialled; they beat `allow`. None by default. */
  readonly deny?: readonly string[]
  /** The only ports that may be dialled; any by default. */
  readonly ports?: readonly number[]
  /** True refuses http URLs; default false, of `createWebhooks` true. */
  readonly httpsOnly?: boolean
  /** How long DNS, connect and TLS may take together; default 5 s. */
  readonly connectTimeout?: Duration
  /** By default the DNS servers of this machine are asked for A and AAAA; its hosts file is not read. */
  readonly resolve?: ResolveHost
  /**
   * URL of an egress proxy (`http:` or `https:`, with credentials or without). Everything goes through CONNECT; the proxy
   * resolves names and decides about them, literal addresses and ports are checked here too. None by default.
   */
  readonly proxy?: string
  /** Sockets to one origin; further requests wait. Default 256, of `createWebhooks` no limit. */
  readonly maxSocketsPerOrigin?: number
}

/** The options with their defaults; durations in ms. */
export interface CheckedSafeAgent {
  readonly allow: readonly Cidr[]
  readonly deny: readonly Cidr[]
  readonly ports: readonly number[] | undefined
  readonly httpsOnly: boolean
  readonly connectTimeout: number
  readonly resolve: ResolveHost | undefined
  readonly proxy: URL | undefined
  readonly maxSocketsPerOrigin: number
}

/** How each option is read. */
export type Readers<T> = { readonly [K in keyof T]: Opt<T[K]> }

/** How the options are read, with the defaults of `safeAgent`. */
export const SAFE_AGENT: Readers<CheckedSafeAgent> = {
  allow: cidrs(),
  deny: cidrs(),
  ports: opt.custom<readonly number[]>('an array of ports from 1 to 65535', arePorts),
  httpsOnly: opt.boolean(false),
  connectTimeout: opt.duration('5s', { min: 1, max: '5m' }),
  resolve: opt.fn<ResolveHost>(),
  proxy: proxyUrl(),
  maxSocketsPerOrigin: opt.integer(256, { min: 1 }),
}

/** @throws OPTION_INVALID */
export function checkSafeAgent(owner: string, given: SafeAgentOptions | undefined): CheckedSafeAgent {
  return checkOptions(owner, given, SAFE_AGENT, optionFailure)
}

function cidrs(): Opt<readonly Cidr[]> {
  return {
    allowed: "an array of CIDRs such as '10.0.0.0/8', with no bits set behind the prefix",
    required: false,
    fallback: [],
    parse(given) {
      if (!Array.isArray(given)) return undefined
      const value = given.map((text) => (typeof text === 'string' ? parseCidr(text) : undefined))
      return value.every((cidr) => cidr !== undefined) ? { value } : undefined
    },
  }
}

function arePorts(given: unknown): boolean {
  return Array.isArray(given) && given.every((port) => Number.isInteger(port) && port >= 1 && port <= 65_535)
}

function proxyUrl(): Opt<URL | undefined> {
  return {
    allowed: "a URL such as 'http://proxy:4750'",
    required: false,
    fallback: undefined,
    parse(given) {
      const value = typeof given === 'string' ? URL.parse(given) : null
      if (value === null || !['http:', 'https:'].includes(value.protocol)) return undefined
      return value.pathname === '/' && value.search === '' && value.hash === '' ? { value } : undefined
    },
  }
}
