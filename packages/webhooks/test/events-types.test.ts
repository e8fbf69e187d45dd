/** Wrong use does not compile: `tsc -b` fails for each `@ts-expect-error` without an error behind it. */
import { expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import type { Component, Effect } from '@keelson/kernel'
import { createWebhooks, memoryStore, type Webhooks } from '@keelson/webhooks'

const events = {
  'order.created': { schema: z.object({ id: z.string(), n: z.number().default(1) }), version: 2 },
  'order.paid': {},
} as const
const base = { store: memoryStore(), encryption: 'plaintext' } as const
const typed = createWebhooks({ ...base, events })
const open = createWebhooks(base)
const scope = 'acme'

/** Compiled, never run. */
const compiled = (use: () => unknown): void => void use

test('a catalogue types what is sent and handled', () => {
  compiled(() => [
    typed.send('order.created', { id: 'a' }, { scope }),
    typed.event('order.created', { id: 'a', n: 2 }, { scope }),
    typed.send('order.paid', { anything: 1 }, { scope }),
    typed.sendMany([{ type: 'order.paid', data: 1, scope }]),
    typed.handle<'order.created'>('a', { types: ['order.created'] }, (event) => {
      expectTypeOf(event.type).toEqualTypeOf<'order.created'>()
      expectTypeOf(event.data.id).toEqualTypeOf<string>()
    }),
    typed.handle('b', { types: ['order.created'] }, (event) => {
      expectTypeOf(event.type).toEqualTypeOf<'order.created'>()
      expectTypeOf(event.data.id).toEqualTypeOf<string>()
    }),
    typed.handle('c', { types: ['order.*'] }, (event) => {
      expectTypeOf(event.type).toEqualTypeOf<'order.created' | 'order.paid'>()
      if (event.type === 'order.created') expectTypeOf(event.data.id).toEqualTypeOf<string>()
    }),
    typed.handle('d', { types: ['**', 'other.*'] as string[] }, (event) => {
      expectTypeOf(event.type).toEqualTypeOf<'order.created' | 'order.paid'>()
    }),
    typed.handle('e', { types: ['*', 'order.paid.**'] }, (event) => {
      expectTypeOf(event).toEqualTypeOf<never>()
    }),
    // @ts-expect-error no such type
    typed.send('order.lost', {}, { scope }),
    // @ts-expect-error no such type
    typed.event('order.lost', {}, { scope }),
    // @ts-expect-error no such type
    typed.sendMany([{ type: 'order.lost', data: 1, scope }]),
    // @ts-expect-error by its schema
    typed.send('order.created', { id: 1 }, { scope }),
    // @ts-expect-error a scope is never defaulted
    typed.send('order.paid', 1, {}),
    // @ts-expect-error an endpoint is chosen by what it listens to
    typed.send('order.paid', 1, { scope, endpoint: 'ep_1' }),
    // @ts-expect-error not an operational event
    typed.on('endpoint.created', () => {}),
  ])
})

test('without a catalogue any type is sent', () => {
  compiled(() => [open.send('whatever', { a: 1 }, { scope }), open.event('whatever', 1n, { scope })])
})

test('what webhooks are', () => {
  expectTypeOf(open).toExtend<Component>()
  expectTypeOf<Webhooks>().toExtend<Component>()
  expectTypeOf(typed.event).returns.toExtend<Effect & { readonly kind: 'webhook.event'; readonly id: string }>()
  compiled(() => [
    // @ts-expect-error keys are spelled out, or 'plaintext' is
    createWebhooks({ store: memoryStore() }),
    // @ts-expect-error no such option
    createWebhooks({ ...base, retries: 3 }),
  ])
})
