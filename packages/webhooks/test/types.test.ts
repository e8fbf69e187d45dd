/** Wrong use does not compile: `tsc -b` fails for each `@ts-expect-error` without an error behind it. */
import type { IncomingMessage } from 'node:http'
import { expectTypeOf, test } from 'vitest'
import type { Idempotency } from '@keelson/idempotency'
import { generateSecret, sign, type SigningScheme } from '../src/index.ts'
import { requestSigner, requestVerifier, type SigningKey } from '../src/request-signing/index.ts'
import {
  anyOf,
  createReceiver,
  httpSignature,
  memoryInbox,
  shopify,
  standard,
  stripe,
  type Inbox,
  type Received,
  type Receiver,
  type Verified,
  type Verifier,
  type VerifyInput,
} from '../src/verify/index.ts'

declare const verifier: Verifier
declare const receiver: Receiver
declare const request: VerifyInput
declare const key: SigningKey

/** Compiled, never run. */
const compiled = (use: () => unknown): void => void use

test('headers of Node, of fetch and of frameworks fit', () => {
  expectTypeOf<IncomingMessage['headers']>().toExtend<VerifyInput['headers']>()
  expectTypeOf<IncomingMessage['headersDistinct']>().toExtend<VerifyInput['headers']>()
  expectTypeOf<Headers>().toExtend<VerifyInput['headers']>()
  expectTypeOf<Record<string, string>>().toExtend<VerifyInput['headers']>()
  expectTypeOf<Buffer>().toExtend<VerifyInput['body']>()
  expectTypeOf<ArrayBuffer>().not.toExtend<VerifyInput['body']>()
  expectTypeOf<object>().not.toExtend<VerifyInput['body']>()
})

test('idempotency is an inbox as it stands', () => {
  expectTypeOf<Idempotency>().toExtend<Inbox>()
  expectTypeOf(memoryInbox).returns.toEqualTypeOf<Inbox>()
})

test('what comes out', () => {
  expectTypeOf<Verifier['verify']>().returns.toEqualTypeOf<Verified>()
  expectTypeOf<Verified['id']>().toEqualTypeOf<string | null>()
  expectTypeOf<Verified['body']>().toEqualTypeOf<Uint8Array>()
  expectTypeOf<Receiver['receive']>().returns.resolves.toEqualTypeOf<Received>()
  expectTypeOf<Received['outcome']>().toEqualTypeOf<'processed' | 'duplicate' | 'busy'>()
  expectTypeOf(sign).returns.toEqualTypeOf<Record<string, string>>()
  expectTypeOf(generateSecret).parameter(0).toEqualTypeOf<'v1' | 'v1a' | undefined>()
  expectTypeOf<SigningScheme>().toEqualTypeOf<'v1' | 'v1a' | 'svix' | 'github' | 'stripe' | 'shopify'>()
})

test('wrong use does not compile', () => {
  compiled(() => [
    standard({ publicKeys: ['whpk_'], tolerance: '1m', prefix: 'svix' }),
    anyOf(verifier, stripe({ secrets: [] })),
    httpSignature({ keys: { a: { alg: 'hmac-sha256', key: new Uint8Array(1) } } }),
    requestVerifier({ keys: async () => null }),
    // @ts-expect-error one secret is no list
    standard({ secrets: 'whsec_' }),
    // @ts-expect-error another prefix
    standard({ secrets: [], prefix: 'hook' }),
    // @ts-expect-error no tolerance where no time is signed
    shopify({ secrets: [], tolerance: '1m' }),
    // @ts-expect-error no secrets
    stripe({}),
    // @ts-expect-error no scope
    createReceiver({ verifier }),
    // @ts-expect-error a handler is waited for
    receiver.receive(request, () => 1),
    // @ts-expect-error not in this release
    requestSigner({ keyId: 'a', key: { alg: 'ed25519', key: '' } }),
    // @ts-expect-error no key id
    requestSigner({ key }),
    // @ts-expect-error keys are asked for by id
    requestVerifier({ keys: { a: key } }),
    // @ts-expect-error text is not what is sent
    sign({ id: 'a', timestamp: 1, body: '{}', secrets: [] }),
  ])
})
