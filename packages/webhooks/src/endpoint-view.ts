import type { Clock } from '@keelson/kernel'
import type { EndpointConfig } from './endpoint-config.ts'
import type { Endpoint } from './endpoint.ts'
import { handlerSettings, type SettingsOf } from './settings.ts'
import type { StoredEndpoint } from './store.ts'

/** An endpoint as its owner sees it; `config` is undefined for a handler. */
export function endpointView(
  row: StoredEndpoint,
  config: EndpointConfig | undefined,
  settingsOf: SettingsOf,
  clock: Clock,
): Endpoint {
  const { health } = row
  const settings = config === undefined ? handlerSettings(settingsOf({})) : settingsOf(config)
  const { url, types, channels, filter, headers, description, metadata } = config ?? { url: row.id, types: ['**'] }
  return {
    id: row.id,
    scope: row.scope,
    url,
    state: row.state,
    disabledReason: row.disabledReason,
    revision: row.revision,
    createdAt: new Date(row.createdAtMs),
    updatedAt: new Date(row.updatedAtMs),
    health: {
      breaker: health.openUntilMs === null ? 'closed' : health.openUntilMs > clock.now() ? 'open' : 'half-open',
      failingSince: dateOf(health.failingSinceMs),
      limit: health.limit,
      blockedUntil: (health.blockedUntilMs ?? 0) > clock.now() ? dateOf(health.blockedUntilMs) : null,
    },
    types,
    channels: channels ?? null,
    filter: filter ?? null,
    headers: headers ?? {},
    description: description ?? null,
    metadata: metadata ?? {},
    ...settings,
  }
}

function dateOf(atMs: number | null): Date | null {
  return atMs === null ? null : new Date(atMs)
}
