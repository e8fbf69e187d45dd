import { tracingChannel } from 'node:diagnostics_channel'
import { contextStorage, type KeelsonContext } from '../context.ts'
import { KernelError } from '../kernel-error.ts'
import { checkOptions, opt } from '../options.ts'
import type { OpenTelemetryApiLike, SpanContextLike, SpanLike } from './api.ts'
import { attributesOf, errorType } from './attributes.ts'
import { CHANNELS, KINDS } from './channels.ts'
import { spanContextOf, traceparentOf } from './span-context.ts'

/** SpanStatusCode.ERROR */
const ERROR = 2
/** What a request's message brings along. */
type Message = { readonly parent?: unknown; readonly firstTraceparent?: unknown; readonly error?: unknown }

/** The application's own span that was open when ours began: another one, opened since, is nearer. */
const OPENED_IN: unique symbol = Symbol('keelson.opentelemetry')
type Traced = KeelsonContext & { readonly [OPENED_IN]?: SpanLike | undefined }

const PACKAGES = [...new Set(Object.keys(CHANNELS).map((channel) => channel.split(':')[0]!))]
const SPEC = {
  packages: opt.custom<readonly string[]>(`an array of ${PACKAGES.join(', ')}`, isPackages, PACKAGES),
}

/**
 * Makes spans of what the packages do, from now on; the answer ends that. While an operation runs, the traceparent of
 * `context` is its span's: what it calls, writes and sends is a child of it, also in another process, or in a worker
 * later on. `packages` names those whose operations become spans; default all.
 *
 * ```ts
 * import * as api from '@opentelemetry/api'
 * const stop = instrument(api)
 * ```
 *
 * @throws KernelError OPTION_INVALID
 */
export function instrument(
  api: OpenTelemetryApiLike,
  options: { readonly packages?: readonly string[] } = {},
): () => void {
  const { packages } = checkOptions('instrument', options, SPEC)
  if (typeof api?.trace?.getTracer !== 'function') {
    throw new KernelError('OPTION_INVALID', 'instrument: give it the module @opentelemetry/api')
  }
  const stops = Object.keys(CHANNELS)
    .filter((channel) => packages.includes(channel.split(':')[0]!))
    .map((channel) => spansOf(channel, api))
  return () => stops.forEach((stop) => stop())
}

function spansOf(channel: string, api: OpenTelemetryApiLike): () => void {
  const tracing = tracingChannel<unknown, object>(`keelson:${channel}`)
  const tracer = api.trace.getTracer('@keelson/kernel')
  const role = CHANNELS[channel]!
  const spans = new WeakMap<object, SpanLike>()

  function parentOf(outer: Traced, message: Message): SpanContextLike | undefined {
    const active = role === 'entry' || role === 'call' ? api.trace.getActiveSpan() : undefined
    if (role === 'entry') return active?.spanContext() ?? spanContextOf(message.parent)
    if (active !== undefined && OPENED_IN in outer && outer[OPENED_IN] !== active) return active.spanContext()
    return spanContextOf(outer.traceparent) ?? active?.spanContext()
  }

  /** The context in which the operation runs. */
  function begin(message: object): KeelsonContext | undefined {
    const outer: Traced | undefined = contextStorage.getStore()
    const parent = parentOf(outer ?? {}, message)
    if (parent === undefined && role === 'part') return outer
    const first = spanContextOf((message as Message).firstTraceparent)
    const bare = api.trace.deleteSpan(api.context.active())
    const span = tracer.startSpan(
      channel,
      { kind: KINDS[channel] ?? 0, links: first === undefined ? [] : [{ context: first }] },
      parent === undefined ? bare : api.trace.setSpanContext(bare, parent),
    )
    spans.set(message, span)
    const traceparent = traceparentOf(span.spanContext())
    if (traceparent === undefined) return outer
    if (outer?.correlationId !== undefined) span.setAttributes({ 'keelson.correlation_id': outer.correlationId })
    const inside: Traced = { ...outer, traceparent, [OPENED_IN]: api.trace.getActiveSpan() }
    return Object.freeze(inside)
  }

  function end(message: object): void {
    const span = spans.get(message)
    if (span === undefined) return
    const attributes = attributesOf(channel, message)
    span.setAttributes(attributes)
    const { error } = message as Message
    if (error !== undefined) span.setAttributes({ 'error.type': errorType(error) })
    const status = attributes['http.response.status_code']
    if (error !== undefined || (typeof status === 'number' && status >= 500)) span.setStatus({ code: ERROR })
    if (role === 'entry') span.updateName(`${attributes['http.request.method']} ${attributes['http.route']}`)
    span.end()
  }

  // A tracer that fails must not break the work: what is thrown here would end the process.
  const guarded = <T>(fn: () => T): T | undefined => {
    try {
      return fn()
    } catch {
      return undefined
    }
  }
  const ended = (message: unknown): void => guarded(() => end(message as object))
  tracing.start.bindStore(contextStorage, (message) => guarded(() => begin(message)) ?? contextStorage.getStore()!)
  tracing.asyncEnd.subscribe(ended)
  return () => {
    tracing.start.unbindStore(contextStorage)
    tracing.asyncEnd.unsubscribe(ended)
  }
}

function isPackages(given: unknown): boolean {
  return Array.isArray(given) && given.every((name) => PACKAGES.includes(name as string))
}
