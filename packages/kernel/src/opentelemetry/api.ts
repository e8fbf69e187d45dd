/** Ids of a span: W3C Trace Context. */
export interface SpanContextLike {
  readonly traceId: string
  readonly spanId: string
  readonly traceFlags: number
  readonly isRemote?: boolean
}

/** What is written into a span. */
export interface SpanLike {
  spanContext(): SpanContextLike
  setAttributes(attributes: Record<string, string | number | boolean>): unknown
  setStatus(status: { code: number }): unknown
  updateName(name: string): unknown
  end(): void
}

/** What `instrument` needs of `@opentelemetry/api`: the module itself. */
export interface OpenTelemetryApiLike {
  // Its own types of contexts and spans are classes with more in them than we read.
  readonly trace: {
    getTracer(name: string): { startSpan(name: string, options: any, context: any): SpanLike }
    getActiveSpan(): SpanLike | undefined
    setSpanContext(context: any, of: any): any
    deleteSpan(context: any): any
  }
  readonly context: { active(): any }
}
