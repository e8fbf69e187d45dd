import { createHmac, createSecretKey, randomBytes, timingSafeEqual } from 'node:crypto'
import { generateSecret, sign } from '@keelson/webhooks'
import { standard } from '@keelson/webhooks/verify'
import { Webhook } from 'standardwebhooks'
import type { Case, Running } from '../../src/case.ts'
import { cpuTimeUs } from '../../src/cpu-time.ts'

const KEELSON = 'keelson standard().verify'
const PARSED = 'keelson standard().verify().json()'
const PEER = 'standardwebhooks 1.1.1, not parsed'
const PEER_PARSED = 'standardwebhooks 1.1.1, as it comes'
const BARE = 'node HMAC, by hand'
const SIGN = 'keelson sign'

const items = Array.from({ length: 170 }, (_, i) => ({
  id: randomBytes(8).toString('hex'),
  sku: `tea-${i}`,
  quantity: i,
  price: i * 1.5,
  name: 'about as long as such names are',
  tags: ['a', 'b'],
}))
const body = Buffer.from(JSON.stringify({ type: 'shipment.created', timestamp: new Date(), data: { items } }))
const secret = generateSecret()
const message = { id: 'msg_2KWPBgLlAfxdpx2AI54pPJ85f4W', timestamp: Math.floor(Date.now() / 1000), body }
/** As an ingress hands it on: ours stand among others. */
const headers: Record<string, string> = {
  host: 'hooks.example.com',
  'user-agent': 'bench',
  'content-length': String(body.length),
  'content-type': 'application/json',
  accept: '*/*',
  'accept-encoding': 'gzip',
  'x-forwarded-for': '203.0.113.7',
  'x-forwarded-proto': 'https',
  'x-request-id': 'b1946ac92492d2347c6235b4d2611184',
  ...sign({ ...message, secrets: [secret] }),
}

/** A message of 20 KB that comes in, and one that goes out. */
export function verifies(): Case[] {
  return [
    {
      name: 'verify a message of 20 KB',
      note: 'the base is the HMAC with a key that was imported once and nothing around it; the peer parses what it verified',
      base: BARE,
      contenders: [
        { name: KEELSON, open: () => verifying(false) },
        { name: PARSED, open: () => verifying(true) },
        { name: PEER, open: () => peer(false) },
        { name: PEER_PARSED, open: () => peer(true) },
        { name: BARE, open: () => byHand() },
        { name: SIGN, open: () => inUs(() => sign({ ...message, secrets: [secret] })) },
      ],
      targets: [
        { of: PEER, figure: 'cpu us', over: KEELSON, atLeast: 10 },
        { of: PEER_PARSED, figure: 'cpu us', over: KEELSON, atLeast: 10 },
        { of: KEELSON, figure: 'cpu us', over: BARE, atMost: 1.3 },
        { of: SIGN, figure: 'cpu us', over: BARE, atMost: 1.3 },
      ],
    },
  ]
}

function verifying(parse: boolean): Running {
  const verifier = standard({ secrets: [secret], tolerance: '1h' })
  return inUs(() => {
    const event = verifier.verify({ body, headers })
    return parse ? event.json() : event
  })
}

/** Its tolerance is five minutes, so it gets a message of now. */
function peer(jsonParse: boolean): Running {
  const webhook = new Webhook(secret)
  const signed = { ...headers, ...sign({ ...message, timestamp: Math.floor(Date.now() / 1000), secrets: [secret] }) }
  return inUs(() => webhook.verify(body, signed, { jsonParse }))
}

function byHand(): Running {
  const key = createSecretKey(Buffer.from(secret.slice(6), 'base64'))
  const head = `${message.id}.${message.timestamp}.`
  const given = Buffer.from(headers['webhook-signature']!.slice(3), 'base64')
  return inUs(() => timingSafeEqual(createHmac('sha256', key).update(head).update(body).digest(), given))
}

/** Processor time of a call: on a busy machine whoever takes longer is interrupted more often, and would seem slower. */
function inUs(call: () => unknown): Running {
  let kept: unknown
  return {
    run(forMs) {
      const [endsMs, begunUs] = [performance.now() + forMs, cpuTimeUs()]
      let calls = 0
      do {
        for (let i = 0; i < 20; i++) kept = call()
        calls += 20
      } while (performance.now() < endsMs)
      return { 'cpu us': (cpuTimeUs() - begunUs) / calls }
    },
    close: async () => void kept,
  }
}
