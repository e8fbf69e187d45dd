import type { HealthLike } from './apis/health-api.ts'
import type { WebhooksLike } from './apis/webhooks-api.ts'
import type { HttpOptions } from './options.ts'

/** What an application has of Keelson, for frameworks that hand it on by name; all optional. */
export interface Components extends Pick<HttpOptions, 'idempotency' | 'cache' | 'audit' | 'db' | 'limiters'> {
  readonly webhooks?: WebhooksLike
  readonly health?: HealthLike
  readonly pipelines?: Readonly<Record<string, object>>
}
