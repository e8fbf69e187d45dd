import { expect, onTestFinished, test } from 'vitest'
import { generateSecret, sign } from '../../src/index.ts'
import { startReceiver, type Receiver, type ReceiverOptions } from '../../src/testing/index.ts'

async function receiver(o?: ReceiverOptions): Promise<Receiver> {
  const started = await startReceiver(o)
  onTestFinished(() => started.close())
  return started
}

const post = (url: string, body = ''): Promise<Response> => fetch(url, { method: 'POST', body })

test('keeps what it gets, byte by byte', async () => {
  const local = await receiver()
  const before = Date.now()
  expect(
    (await fetch(`${local.url}/a?b=c`, { method: 'POST', body: '{"a":1}', headers: { 'X-One': '1' } })).status,
  ).toBe(204)
  const [got] = local.received
  expect(got).toMatchObject({ method: 'POST', path: '/a?b=c', headers: { 'x-one': '1' } })
  expect(Buffer.from(got!.body).toString()).toBe('{"a":1}')
  expect(got!.json()).toEqual({ a: 1 })
  expect(got!.at.getTime()).toBeGreaterThanOrEqual(before)
  local.clear()
  expect(local.received).toEqual([])
})

test('answers as it was told last; a path before all, a few times before always', async () => {
  const local = await receiver()
  const asked = async (path = '/'): Promise<number> => (await post(local.url + path)).status
  local.answer(500)
  local.answer(429, { times: 2 })
  local.answer(410, { path: '/gone' })
  expect([await asked(), await asked('/gone?x=1'), await asked(), await asked()]).toEqual([429, 410, 429, 500])
  local.answer({ status: 302, headers: { location: '/b' }, body: 'moved' })
  const moved = await fetch(local.url, { redirect: 'manual' })
  expect([moved.status, moved.headers.get('location'), await moved.text()]).toEqual([302, '/b', 'moved'])
  local.answer(async ({ path }) => Promise.resolve(path === '/x' ? 201 : { status: 202, body: path }))
  expect(await asked('/x')).toBe(201)
  expect(await (await post(`${local.url}/y`)).text()).toBe('/y')
  local.answer(() => {
    throw new Error('mine')
  })
  expect(await (await post(local.url)).text()).toContain('mine')
})

test('answers late, in drips, by halves, or not', async () => {
  const local = await receiver()
  local.answer({ body: 'slow', delayMs: 20, dripMs: 1 })
  expect(await (await post(local.url)).text()).toBe('slow')
  local.answer({ reset: 'head' })
  await expect(post(local.url)).rejects.toThrow()
  for (const half of [
    { body: 'ha', reset: 'body' },
    { body: 'ha', hang: 'body' },
  ] as const) {
    local.answer(half)
    const answer = await post(local.url)
    expect(answer.status).toBe(200)
    if ('reset' in half) await expect(answer.text()).rejects.toThrow()
    else await answer.body!.cancel()
  }
  local.answer({ hang: 'head' })
  const hung = post(local.url)
  await local.waitFor(5)
  await local.close()
  await expect(hung).rejects.toThrow()
})

test('next() gives each request once, waitFor() all of them, now or later', async () => {
  const local = await receiver()
  const second = local.next(({ path }) => path === '/2')
  const all = local.waitFor(2)
  await post(`${local.url}/1`)
  await post(`${local.url}/2`)
  expect((await second).path).toBe('/2')
  expect((await local.next()).path).toBe('/1')
  expect(await all).toHaveLength(2)
  const never = local.next()
  await local.close()
  await expect(never).rejects.toThrow('closed')
  await expect(local.waitFor(9)).rejects.toThrow('closed')
})

test('verifies with its secrets', async () => {
  const secret = generateSecret()
  const local = await receiver({ secrets: [secret] })
  const body = Buffer.from('{"type":"a.b"}')
  const headers = sign({ id: 'msg_1', timestamp: Math.floor(Date.now() / 1_000), body, secrets: [secret] })
  expect((await fetch(local.url, { method: 'POST', body, headers })).status).toBe(204)
  expect((await local.next()).verified).toMatchObject({ id: 'msg_1', type: 'a.b' })
  const forged = await fetch(local.url, { method: 'POST', body: '{"type":"a.c"}', headers })
  expect([forged.status, await forged.text()]).toEqual([401, 'NO_MATCH'])
  expect(await (await post(local.url)).text()).toBe('MISSING_HEADER')
  expect((await local.next()).verified).toBeNull()
})

test('a bad option is refused', async () => {
  await expect(startReceiver({ port: -1 })).rejects.toMatchObject({ code: 'OPTION_INVALID' })
  await expect(startReceiver({ secrets: ['x'] })).rejects.toMatchObject({ code: 'OPTION_INVALID' })
  await expect(startReceiver({ prot: 1 } as never)).rejects.toMatchObject({ code: 'OPTION_INVALID' })
})
