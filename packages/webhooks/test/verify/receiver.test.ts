import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tracingChannel } from 'node:diagnostics_channel'
import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { isKeelsonError } from '@keelson/kernel'
import { startWorker } from '../../../../tools/crash/worker-process.ts'
import { generateSecret, sign } from '../../src/index.ts'
import {
  anyOf,
  createReceiver,
  github,
  standard,
  type Inbox,
  type Verified,
  type Verifier,
} from '../../src/verify/index.ts'
import { inboxes } from './inboxes.ts'
import { schemes } from './samples.ts'

const { verifier, sample } = schemes['standard v1']!
const request = sample(Buffer.from('{"type":"a"}'))
const unheard = async (): Promise<void> => expect.unreachable()

/** A promise that a test resolves. */
function door(): { readonly opened: Promise<void>; open(): void } {
  let open = (): void => {}
  const opened = new Promise<void>((resolve) => (open = resolve))
  return { opened, open }
}

describe.each(Object.entries(inboxes))('%s', (_, open) => {
  test('a message is handled once', async () => {
    await using opened = await open()
    const receiver = createReceiver({ verifier, inbox: opened.inbox, scope: 'a' })
    const events: Verified[] = []
    const handle = async (event: Verified): Promise<void> => void events.push(event)
    const first = await receiver.receive(request, handle)
    expect(first).toEqual({ outcome: 'processed', event: events[0] })
    expect(first.event.id).toBe('msg_1')
    expect(await receiver.receive(request, unheard)).toMatchObject({ outcome: 'duplicate', event: { id: 'msg_1' } })
    expect(events).toHaveLength(1)
    // Another tenant's message of the same id is another message.
    const other = createReceiver({ verifier, inbox: opened.inbox, scope: 'b' })
    expect((await other.receive(request, handle)).outcome).toBe('processed')
  })

  test('of two at once one is handled', async () => {
    await using opened = await open()
    const receiver = createReceiver({ verifier, inbox: opened.inbox, scope: 'a' })
    const [entered, leave] = [door(), door()]
    let runs = 0
    const handle = async (): Promise<void> => {
      runs++
      entered.open()
      await leave.opened
    }
    const first = receiver.receive(request, handle)
    await entered.opened
    const second = receiver.receive(request, handle)
    leave.open()
    expect((await first).outcome).toBe('processed')
    expect(['duplicate', 'busy']).toContain((await second).outcome)
    expect((await receiver.receive(request, handle)).outcome).toBe('duplicate')
    expect(runs).toBe(1)
  })

  test('a handler that throws frees the message, and its error comes out as it is', async () => {
    await using opened = await open()
    const receiver = createReceiver({ verifier, inbox: opened.inbox, scope: 'a' })
    const fault = new Error('the database is away')
    const failing = async (): Promise<void> => {
      throw fault
    }
    await expect(receiver.receive(request, failing)).rejects.toBe(fault)
    await expect(receiver.receive(request, failing)).rejects.toBe(fault)
    expect((await receiver.receive(request, async () => {})).outcome).toBe('processed')
    expect((await receiver.receive(request, unheard)).outcome).toBe('duplicate')
  })

  test('nothing is stored before the signature is good', async () => {
    await using opened = await open()
    const receiver = createReceiver({ verifier, inbox: opened.inbox, scope: 'a' })
    const forged = { ...request, body: Buffer.from('{"type":"b"}') }
    await expect(receiver.receive(forged, unheard)).rejects.toMatchObject({ code: 'NO_MATCH' })
    expect((await receiver.receive(request, async () => {})).outcome).toBe('processed')
  })
})

test.each(['idempotency, Redis', 'idempotency, Postgres'])(
  '%s: of two processes at once one handles it',
  async (name) => {
    await using opened = await inboxes[name]!()
    const start = () =>
      startWorker<object | 'finish', string>(new URL('./receiver-worker.ts', import.meta.url), opened.env)
    const workers = await Promise.all([start(), start()])
    const body = '{"action":"opened"}'
    const signature = createHmac('sha256', 'hush').update(body).digest('hex')
    const told: string[] = []
    const all = door()
    for (const worker of workers) {
      worker.onMessage((message) => {
        told.push(message)
        // Whoever runs ends only when it is told; meanwhile the other one has come, or comes later.
        if (message === 'runs') for (const one of workers) one.send('finish')
        if (told.filter((one) => one !== 'runs').length === 2) all.open()
      })
      worker.send({ body, headers: { 'x-hub-signature-256': `sha256=${signature}` } })
    }
    const died = workers.map(async (worker) => Promise.reject(new Error(`a worker ended: ${await worker.ended}`)))
    for (const one of died) one.catch(() => {})
    await Promise.race([all.opened, ...died])
    expect(told.toSorted()).toEqual(['duplicate', 'processed', 'runs'])
    await Promise.all(workers.map((worker) => worker.kill()))
  },
)

test('over HTTP: a delivery, its repetition, a forgery, a handler that fails', async () => {
  await using opened = await inboxes['memoryInbox']!()
  const secret = generateSecret()
  const receiver = createReceiver({ verifier: standard({ secrets: [secret] }), inbox: opened.inbox, scope: 'acme' })
  const seen: unknown[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = await request.toArray()
    try {
      const { outcome } = await receiver.receive(
        { body: Buffer.concat(chunks), headers: request.headers },
        async (event) => {
          if (event.json().fail === true) throw new Error('not today')
          seen.push(event.json())
        },
      )
      response.writeHead(outcome === 'busy' ? 503 : 204).end()
    } catch (error) {
      response.writeHead(isKeelsonError(error) ? 401 : 500).end()
    }
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const post = async (id: string, data: unknown, secrets: string[]): Promise<number> => {
    const body = Buffer.from(JSON.stringify(data))
    const headers = sign({ id, timestamp: Math.floor(Date.now() / 1000), body, secrets })
    return (await fetch(url, { method: 'POST', body, headers })).status
  }
  try {
    expect(await post('msg_1', { n: 1 }, [generateSecret(), secret])).toBe(204)
    expect(await post('msg_1', { n: 1 }, [secret])).toBe(204)
    expect(await post('msg_2', { n: 2 }, [generateSecret()])).toBe(401)
    expect(await post('msg_3', { fail: true }, [secret])).toBe(500)
    expect(await post('msg_3', { n: 3 }, [secret])).toBe(204)
    expect(seen).toEqual([{ n: 1 }, { n: 3 }])
  } finally {
    server.close()
    server.closeAllConnections()
  }
})

describe('over an inbox that answers', () => {
  const answering = (answer: Awaited<ReturnType<Inbox['consume']>>): Inbox => ({ consume: async () => answer })

  test.each<[Awaited<ReturnType<Inbox['consume']>>, object]>([
    ['processed', { outcome: 'processed' }],
    ['duplicate', { outcome: 'duplicate' }],
    [{ busy: 1234 }, { outcome: 'busy', retryAfter: 1234 }],
    [{ unknown: true }, { outcome: 'busy' }],
  ])('%j', async (answer, expected) => {
    const receiver = createReceiver({ verifier, inbox: answering(answer), scope: 'a' })
    const { event, ...rest } = await receiver.receive(request, unheard)
    expect(rest).toEqual(expected)
    expect(event.id).toBe('msg_1')
  })

  test('it is asked by scope, scheme and the key of the message', async () => {
    const calls: unknown[] = []
    const inbox: Inbox = { consume: async (call) => (calls.push(call), 'processed') }
    await createReceiver({ verifier, inbox, scope: 'a' }).receive(request, unheard)
    const any = anyOf(schemes['svix']!.verifier, github({ secrets: ['hush'] }))
    await createReceiver({ verifier: any, inbox, scope: 'b' }).receive(
      schemes['github']!.sample(Buffer.from('{}')),
      unheard,
    )
    expect(calls).toEqual([
      { scope: 'a', op: 'webhook:standard', key: 'msg_1' },
      {
        scope: 'b',
        op: 'webhook:standard|github',
        key: '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
      },
    ])
  })
})

test('without an inbox every good message is handled', async () => {
  const receiver = createReceiver({ verifier, scope: 'a' })
  let runs = 0
  for (let i = 0; i < 2; i++) {
    expect((await receiver.receive(request, async () => void runs++)).outcome).toBe('processed')
  }
  expect(runs).toBe(2)
})

test('a body over the limit is refused before it is hashed', async () => {
  const never: Verifier = { scheme: 'x', signatureHeaders: [], verify: () => expect.unreachable() }
  const small = createReceiver({ verifier: never, scope: 'a', maxBodyBytes: 10 })
  for (const body of [Buffer.alloc(11), 'é'.repeat(6)]) {
    await expect(small.receive({ body, headers: {} }, unheard)).rejects.toMatchObject({ code: 'BODY_TOO_LARGE' })
  }
  const mebibyte = createReceiver({ verifier, scope: 'a' })
  const received = await mebibyte.receive(sample(Buffer.alloc(1_048_576)), async () => {})
  expect(received.outcome).toBe('processed')
  await expect(mebibyte.receive(sample(Buffer.alloc(1_048_577)), unheard)).rejects.toMatchObject({
    code: 'BODY_TOO_LARGE',
  })
  await expect(mebibyte.receive({ body: {} as never, headers: {} }, unheard)).rejects.toMatchObject({
    code: 'BODY_NOT_RAW',
  })
})

test('bad options', () => {
  expect(() => createReceiver({ verifier } as never)).toThrow(expect.objectContaining({ code: 'SCOPE_INVALID' }))
  for (const scope of ['', 'a\n', 'x'.repeat(129), 1 as never]) {
    expect(() => createReceiver({ verifier, scope })).toThrow(expect.objectContaining({ code: 'SCOPE_INVALID' }))
  }
  const wrong: object[] = [{ verifier: {} }, { verifier: undefined }, { inbox: {} }, { maxBodyBytes: -1 }, { store: 1 }]
  for (const one of wrong) {
    expect(() => createReceiver({ verifier, scope: 'a', ...one })).toThrow(
      expect.objectContaining({ code: 'OPTION_INVALID' }),
    )
  }
})

test('whoever listens hears of a verification, and nothing of the message', async () => {
  const told: object[] = []
  const channel = tracingChannel('keelson:webhooks:verify')
  const listener = { asyncEnd: (message: object) => void told.push({ ...message }) }
  channel.subscribe(listener as never)
  try {
    const receiver = createReceiver({ verifier, scope: 'a' })
    await receiver.receive(request, async () => {})
    await receiver.receive({ ...request, body: 'x' }, unheard).catch(() => {})
  } finally {
    channel.unsubscribe(listener as never)
  }
  expect(told).toEqual([
    { scheme: 'standard', result: undefined },
    { scheme: 'standard', error: expect.objectContaining({ code: 'NO_MATCH' }) },
  ])
})
