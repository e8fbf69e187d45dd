import { virtualClock } from '@keelson/kernel/testing'
import {
  createSync,
  memoryStore as serverStore,
  SyncError,
  type Caller,
  type Sync,
  type SyncOptions,
} from '@keelson/sync'
import { createSyncClient, memoryStore, type SyncClient, type SyncClientOptions } from '@keelson/sync/client'

/** What the network does to a request. */
export type Weather = 'fine' | 'no request' | 'no answer' | 'down'

const STATUS: Record<string, number> = {
  CLIENT_FOREIGN: 403,
  CURSOR_EXPIRED: 410,
  EPOCH_CHANGED: 410,
  SCHEMA_CHANGED: 410,
  BODY_TOO_LARGE: 413,
  LIMIT_REACHED: 429,
  STORE_UNAVAILABLE: 503,
}

export interface World {
  readonly sync: Sync
  readonly clock: ReturnType<typeof virtualClock>
  /** What was asked, newest last. */
  readonly asked: { readonly path: string; readonly body: any }[]
  weather: Weather | ((path: string) => Weather | Response)
  device(who: string, o?: Partial<SyncClientOptions>): SyncClient
}

export interface Task {
  team: string
  title?: string
  done?: boolean
  budget?: number
}

/** A server of tasks, and devices of people who see teams 1 and 2, or what `teams` says. */
export function openWorld(
  o: { teams?: (who: string) => readonly string[]; options?: Partial<SyncOptions> } = {},
): World {
  const clock = virtualClock({ now: Date.UTC(2026, 10, 1) })
  const sync = createSync({
    store: serverStore({ clock }),
    clock,
    scopes: ({ principal }: Caller) => [
      'acme',
      ...(o.teams?.(principal.id) ?? ['1', '2']).map((team) => `acme/team:${team}`),
    ],
    collections: {
      task: {
        fields: { team: 'lww', title: 'lww', done: 'lww', budget: 'strict' },
        scope: ({ team }: Task) => `acme/team:${team}`,
        authorize: (_, op) => op.set?.['title'] !== 'forbidden',
      },
      note: { fields: { text: 'lww' }, scope: () => 'acme' },
    },
    ...o.options,
  } as SyncOptions)
  const world: World = {
    sync,
    clock,
    asked: [],
    weather: 'fine',
    device: (who, more) =>
      createSyncClient({
        url: 'http://sync.test/sync',
        store: memoryStore(),
        collections: { task: {}, note: {} },
        interval: false,
        clock,
        fetch: (url, init) => answer(world, { principal: { id: who } }, new URL(url).pathname, init!),
        ...more,
      }),
  }
  return world
}

async function answer(world: World, who: Caller, path: string, { body, signal }: RequestInit): Promise<Response> {
  const request = JSON.parse(body as string)
  world.asked.push({ path, body: request })
  const weather = typeof world.weather === 'function' ? world.weather(path) : world.weather
  if (weather instanceof Response) return weather
  if (weather === 'down')
    return Response.json({ code: 'store-unavailable' }, { status: 503, headers: { 'retry-after': '2' } })
  if (weather === 'no request') throw new TypeError('fetch failed')
  const { sync } = world
  const said = await (
    path.endsWith('/push') ? sync.push(who, request) : sync.pull(who, request, { signal: signal! })
  ).catch(problem)
  if (weather === 'no answer') throw new TypeError('fetch failed')
  return said instanceof Response ? said : Response.json(said)
}

function problem(error: unknown): Response {
  if (!(error instanceof SyncError)) throw error
  const code = error.code.toLowerCase().replaceAll('_', '-')
  return Response.json({ code, detail: error.message }, { status: STATUS[error.code] ?? 400 })
}
