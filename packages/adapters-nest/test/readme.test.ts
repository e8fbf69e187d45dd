import { createHmac, randomUUID } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { INestApplication } from '@nestjs/common'
import { expect, it } from 'vitest'

const readme = readFileSync(join(import.meta.dirname, '../README.md'), 'utf8')
const blocks = [...readme.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code]) => code!)

/** What stands in the README runs, as its reader's compiler would have it. */
async function run(code: string): Promise<{ app: INestApplication; url: string }> {
  const folder = mkdtempSync(join(import.meta.dirname, 'readme-'))
  try {
    const file = join(folder, 'main.nest.ts')
    const quiet = code
      .replace('NestFactory.create(App)', 'NestFactory.create(App, { logger: false })')
      .replace('app.listen(3000)', "app.listen(0, '127.0.0.1')")
      // A machine that is busy with other tests is no dead store.
      .replace(/createIdempotency\(\{ store(: memoryStore\(\))?/, "$&, storeTimeout: '10s'")
    writeFileSync(file, `${quiet}\nexport { app }\n`)
    const { app } = (await import(/* @vite-ignore */ file)) as { app: INestApplication }
    return { app, url: await app.getUrl() }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

it('any handler runs once a key', async () => {
  const { app, url } = await run(blocks[0]!)
  const pay = (): Promise<Response> =>
    fetch(`${url}/payments`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': 'k' },
      body: '{"cents":7}',
    })
  const answers = [await (await pay()).json(), await (await pay()).json()]
  await app.close()
  expect(answers[0]).toEqual({ id: expect.any(String), cents: 7 })
  expect(answers[1]).toEqual(answers[0])
})

it('a write to the database is one commit', async () => {
  const { app, url } = await run(blocks[1]!)
  const take = (): Promise<Response> =>
    fetch(`${url}/stock/tea/take`, { method: 'POST', headers: { 'idempotency-key': 'k' } })
  const answers = [await take(), await take()]
  await app.close()
  expect(answers.map(({ status, headers }) => [status, headers.get('idempotent-replayed')])).toEqual([
    [204, null],
    [204, 'true'],
  ])
  expect(blocks).toHaveLength(3)
})

it('a webhook is verified, and handled once', async () => {
  const secret = randomUUID()
  process.env['GITHUB_SECRET'] = secret
  const { app, url } = await run(blocks[2]!)
  const body = '{ "n" : 1 }'
  const signature = `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`
  const push = (sent: string): Promise<Response> =>
    fetch(`${url}/hooks/github`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'x-github-delivery': 'd1',
        'x-github-event': 'push',
        'x-hub-signature-256': signature,
      },
      body: sent,
    })
  const answers = [await push(body), await push(body), await push('{"n":1}')]
  await app.close()
  delete process.env['GITHUB_SECRET']
  expect(answers.map(({ status }) => status)).toEqual([201, 201, 401])
  expect([await answers[0]!.json(), answers[1]!.headers.get('idempotent-replayed')]).toEqual([{ got: 'push' }, 'true'])
})
