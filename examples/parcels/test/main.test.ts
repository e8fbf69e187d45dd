import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, inject, test } from 'vitest'
import { runCommand, spawnNode, startNodeProcess } from '../src/node-process.ts'
import { shared } from './shared.ts'

async function failure(env: Record<string, string>): Promise<{ code: number; stderr: string }> {
  const child = spawnNode(env)
  let stderr = ''
  child.stderr!.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number]
  return { code, stderr }
}

test('a node says that it is ready, serves, and ends with 0 on SIGTERM', async () => {
  const node = await startNodeProcess({
    DATABASE_URL: inject('databaseUrl'),
    ...shared,
    BOOKINGS_PER_MINUTE: 1_000_000,
  })
  expect(node.ready).toMatchObject({
    ready: true,
    framework: 'express',
    pid: node.child.pid,
    stores: { db: 'postgres' },
  })
  const list = await fetch(`${node.ready.url}/shipments`, { headers: { authorization: 'Bearer m2' } })
  expect(list.status).toBe(200)
  expect(await node.end('SIGTERM')).toEqual([0, null])
})

test('a data folder has one process at a time, and a killed owner does not keep it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'parcels-'))
  const env = { ...shared, DATA_DIR: join(folder, 'data') }
  const first = await startNodeProcess(env)
  const second = await failure(env)
  expect(second.code).toBe(1)
  expect(second.stderr).toContain(`is in use by process ${first.child.pid}`)
  await first.end('SIGKILL')
  const third = await startNodeProcess(env)
  expect(await third.end('SIGTERM')).toEqual([0, null])
  await rm(folder, { recursive: true })
})

test('a bad environment ends with 1 and one line that lists every fault', async () => {
  const { code, stderr } = await failure({ PORT: '99999', FRAMEWORK: 'koa', DATABASE_URL: 'mysql://x' })
  expect(code).toBe(1)
  expect(stderr.trim().split('\n')).toHaveLength(1)
  for (const word of ['PORT', 'FRAMEWORK', '"express"|"fastify"|"nest"', 'DATABASE_URL']) expect(stderr).toContain(word)
})

test('servers without keys end with 1: what one node seals or signs, the others must open', async () => {
  const { code, stderr } = await failure({ DATABASE_URL: inject('databaseUrl') })
  expect(code).toBe(1)
  for (const word of ['WEBHOOK_KEY', 'AUDIT_KEY', 'PRIVACY_KEY']) expect(stderr).toContain(word)
})

test('explain says so, and ends with 1, for an id that nobody knows', async () => {
  const env = { DATABASE_URL: inject('databaseUrl'), ...shared }
  const { code, stdout, stderr } = await runCommand(env, ['explain', 'nobody-1'])
  expect([code, stdout, stderr]).toEqual([1, '', 'parcels: nothing is known of nobody-1\n'])
  expect((await runCommand(env, ['explain'])).stderr).toBe('parcels: explain needs a correlation id\n')
})

test('an unreachable database ends with 1 and one line', async () => {
  const { code, stderr } = await failure({
    DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
    ...shared,
  })
  expect(code).toBe(1)
  expect(stderr.trim().split('\n')).toHaveLength(1)
  expect(stderr).toContain('ECONNREFUSED')
})

test('a port in use ends with 1 and one line', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { code, stderr } = await failure({
    PORT: String((server.address() as AddressInfo).port),
    DATABASE_URL: inject('databaseUrl'),
    ...shared,
  })
  server.close()
  expect(code).toBe(1)
  expect(stderr.trim().split('\n')).toHaveLength(1)
  expect(stderr).toContain('EADDRINUSE')
})
