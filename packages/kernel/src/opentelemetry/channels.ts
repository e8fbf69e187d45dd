/**
 * Whether an operation may begin a trace of its own. 'entry' and 'call' are the application's, so they belong to the span
 * that it has open; 'work' is begun by a worker; a 'part' without a whole, such as a poll that finds nothing, is no span.
 */
type Role = 'entry' | 'call' | 'work' | 'part'

/** All tracing channels of the packages, without `keelson:`. */
export const CHANNELS: Readonly<Record<string, Role>> = {
  'audit:append': 'part',
  'audit:deliver': 'work',
  'audit:record': 'call',
  'audit:seal': 'part',
  'audit:verify': 'call',
  'cache:fill': 'part',
  'cache:invalidate': 'call',
  'cache:load': 'part',
  'cache:read': 'call',
  'cache:relay': 'part',
  'cache:settle': 'part',
  'http:capture': 'part',
  'http:replay': 'part',
  'http:request': 'entry',
  'idempotency:begin': 'part',
  'idempotency:run': 'call',
  'idempotency:settle': 'part',
  'idempotency:transaction': 'call',
  'kernel:store': 'part',
  'kernel:unit': 'part',
  'resilience:call': 'call',
  'resilience:take': 'part',
  'sync:apply': 'part',
  'sync:change': 'call',
  'sync:pull': 'call',
  'sync:push': 'call',
  'webhooks:attempt': 'work',
  'webhooks:claim': 'part',
  'webhooks:publish': 'call',
  'webhooks:route': 'part',
  'webhooks:settle': 'part',
  'webhooks:verify': 'call',
}

/** SpanKind of OpenTelemetry; 0, internal, for all others. */
export const KINDS: Readonly<Record<string, number>> = {
  'http:request': 1,
  'resilience:call': 2,
  'webhooks:attempt': 2,
}
