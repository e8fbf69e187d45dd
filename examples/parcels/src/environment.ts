import { z } from 'zod'

/** What serves the routes. */
export const FRAMEWORKS = ['express', 'fastify', 'nest'] as const
export type Framework = (typeof FRAMEWORKS)[number]

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
  /** What a merchant may book in a minute, unless its plan says less. */
  BOOKINGS_PER_MINUTE: z.coerce.number().int().min(1).default(100),
  /** The service that quotes prices; built in without one. */
  CARRIER_URL: z.url({ protocol: /^https?$/ }).optional(),
  /** How long an attempt to reach another service may take, in ms. */
  SERVICE_TIMEOUT: z.coerce.number().int().min(1).max(600_000).default(5_000),
  /** Its breaker opens at so many percent of failures. */
  ERROR_THRESHOLD: z.coerce.number().min(1).max(100).default(50),
  /** How long it stays open, in ms. */
  CIRCUIT_RESET_TIMEOUT: z.coerce.number().int().min(1).max(3_600_000).default(30_000),
  PRESTOP: duration.default('0s'),
  DRAIN: duration.default('10s'),
})

export type Environment = z.infer<typeof variables>

/** Reads the environment once. A bad value throws one error that lists every fault. */
export function readEnvironment(env: Record<string, string | undefined>): Environment {
  const read = variables.safeParse(env)
  if (read.success) return read.data
  const faults = read.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
  throw new Error(`bad environment: ${faults.join('; ')}`)
}
