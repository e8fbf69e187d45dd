import { afterEach, expect, inject, it, vi } from 'vitest'
import { askPostgres } from '../servers/ask-postgres.ts'
import setup from '../services.ts'

afterEach(() => void vi.unstubAllEnvs())

it('gives every test file a database that answers', async () => {
  expect(await askPostgres(inject('databaseUrl'), 'select 40 + 2')).toBe(42)
})

it('takes the server that DATABASE_URL names', async () => {
  vi.stubEnv('DATABASE_URL', inject('databaseUrl'))
  const provide = vi.fn()
  const stop = await setup({ provide } as never)
  expect(provide.mock.calls).toEqual([['databaseUrl', inject('databaseUrl')]])
  await stop()
  expect(await askPostgres(inject('databaseUrl'), 'select 1'), 'it is not ours to stop').toBe(1)
})

it('fails when the server that DATABASE_URL names does not answer', async () => {
  vi.stubEnv('DATABASE_URL', 'postgres://postgres@127.0.0.1:1/postgres')
  await expect(setup({ provide: vi.fn() } as never)).rejects.toThrow(
    'DATABASE_URL is set, but its server does not answer',
  )
})
