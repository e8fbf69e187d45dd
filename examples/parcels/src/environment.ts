import { z } from 'zod'

/** What serves the routes. */
export const FRAMEWORKS = ['express', 'fastify', 'nest'] as const
export type Framework = (typeof FRAMEWORKS)[number]

const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const

const duration = z.custom<`${number}${'ms' | 's'}`>(
  (given) => typeof given === 'string' && /^\d+(ms|s)$/.test(given),
  'must be a duration such as 500ms or 10s',
)

/** Every variable that parcels reads. Unset stores are embedded ones. */
const variables = z.object({
  PORT: z.coerce.number().int().min(0).max(65_535).default(3000),
  HOST: z.string().default('127.0.0.1'),
  FRAMEWORK: z.enum(FRAMEWORKS).default('express'),
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
  /** What the nodes' caches share; without it they share the database. */
  REDIS_URL: z.url({ protocol: /^rediss?$/ }).optional(),
  /** A folder for the embedded database; in memory without one. */
  DATA_DIR: z.string().min(1).optional(),
  STORE_TIMEOUT: duration.default('250ms'),
  /** How long a booking waits for the same one that still runs, before it is refused. */
  DUPLICATE_WAIT: duration.default('2s'),
  /** What a merchant may book in a minute, unless its plan says less. */
  BOOKINGS_PER_MINUTE: z.coerce.number().int().min(1).default(100),
  /** The service that quotes prices; built in without one. */
  CARRIER_URL: z.url({ protocol: /^https?$/ }).optional(),
  /** What it signs its events with: `whsec_` and base64. All nodes share it; without one no event is believed. */
  CARRIER_SECRET: z
    .string()
    .regex(/^whsec_[\w+/=]{32,}$/, 'must be whsec_ and at least 24 bytes in base64')
    .optional(),
  /** How long an attempt to reach another service may take, in ms. */
  SERVICE_TIMEOUT: z.coerce.number().int().min(1).max(600_000).default(5_000),
  /** Its breaker opens at so many percent of failures. */
  ERROR_THRESHOLD: z.coerce.number().min(1).max(100).default(50),
  /** How long it stays open, in ms. */
  CIRCUIT_RESET_TIMEOUT: z.coerce.number().int().min(1).max(3_600_000).default(30_000),
  /** Seals the secrets of merchants' endpoints; 32 bytes, base64. All nodes share it. */
  WEBHOOK_KEY: z.base64().length(44).optional(),
  /** CIDRs of our own network that may receive webhooks, separated by commas; with them http is allowed too. */
  WEBHOOK_ALLOW: z.string().default(''),
  /** Signs the audit log: a signer as `generateKey` makes it. All nodes share it. */
  AUDIT_KEY: z
    .string()
    .regex(/^PRIVATE\+KEY\+[^+\s]+\+[\da-f]{8}\+[\w+/=]+$/, 'must be a signer of keelson-audit keygen')
    .optional(),
  /** Values of persons are kept under it; 32 bytes, base64. All nodes share it. */
  PRIVACY_KEY: z.base64().length(44).optional(),
  /** Stored answers are sealed under the first one; 32 bytes each, base64, by commas. All nodes share them. */
  ANSWER_KEYS: z
    .string()
    .regex(/^[\w+/]{43}=(,[\w+/]{43}=)*$/, 'must be 32 bytes in base64, several by commas')
    .optional(),
  /** One tree per log. */
  AUDIT_LOG: z
    .string()
    .regex(/^[a-z\d][a-z\d._-]{0,63}$/)
    .default('main'),
  /** Entries are written to this file, JSON lines, of one machine. */
  AUDIT_FILE: z.string().min(1).default('audit.jsonl'),
  /** Entries go there instead. */
  ELASTICSEARCH_URL: z.url({ protocol: /^https?$/ }).optional(),
  LOG_LEVEL: z.enum(LOG_LEVELS).default('info'),
  PRESTOP: duration.default('0s'),
  DRAIN: duration.default('10s'),
})

export type Environment = z.infer<typeof variables>

/** What one node seals or signs, the others must open. */
const SHARED = ['WEBHOOK_KEY', 'AUDIT_KEY', 'PRIVACY_KEY'] as const

/** Reads the environment once. A bad value throws one error that lists every fault. */
export function readEnvironment(env: Record<string, string | undefined>): Environment {
  const read = variables.safeParse(env)
  if (!read.success) {
    throw badEnvironment(read.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`))
  }
  const { data } = read
  const missing = data.DATABASE_URL === undefined ? [] : SHARED.filter((name) => data[name] === undefined)
  if (missing.length === 0) return data
  throw badEnvironment(missing.map((name) => `${name}: is needed with DATABASE_URL, the same for all nodes`))
}

function badEnvironment(faults: readonly string[]): Error {
  return new Error(`bad environment: ${faults.join('; ')}`)
}
