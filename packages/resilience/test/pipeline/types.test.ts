/** Wrong use does not compile: `tsc -b` fails for each `@ts-expect-error` without an error behind it. */
import { expectTypeOf, test } from 'vitest'
import { isKeelsonError, type Component } from '@keelson/kernel'
import { createChaos } from '../../src/chaos/index.ts'
import {
  createBudget,
  createPipeline,
  type Failure,
  type Outcome,
  type Permit,
  type Pipeline,
  type ResilienceErrorCode,
} from '../../src/index.ts'

declare const pipeline: Pipeline
declare const numbers: Pipeline<number>

/** Compiled, never run. */
const compiled = (use: () => unknown): void => void use

test('a call answers what its work answers', () => {
  compiled(() => {
    expectTypeOf(pipeline.run(() => 1)).toEqualTypeOf<Promise<number>>()
    expectTypeOf(pipeline.run(async () => ({ id: 'a' }))).toEqualTypeOf<Promise<{ id: string }>>()
    expectTypeOf(pipeline.try(async () => 'a')).toEqualTypeOf<Promise<Outcome<string>>>()
    expectTypeOf(pipeline.admit()).toEqualTypeOf<Permit>()
  })
})

test('an outcome is a value or a failure', () => {
  compiled(async () => {
    const outcome = await pipeline.try(() => 1)
    if (outcome.ok) expectTypeOf(outcome.value).toEqualTypeOf<number>()
    else expectTypeOf(outcome).toEqualTypeOf<Failure>()
    // @ts-expect-error a failure has no value
    if (!outcome.ok) return outcome.value
  })
})

test('a pipeline of numbers runs works that answer numbers, and its fallback answers one', () => {
  compiled(() => [
    numbers.run(() => 1),
    // @ts-expect-error no number
    numbers.run(() => 'one'),
    createPipeline<number>({ name: 'n', fallback: () => 1 }),
    // A fallback says nothing of what works answer.
    createPipeline({ name: 'n', fallback: () => ({ from: 'yesterday' }) }).run(() => 'today'),
    createPipeline({ name: 'n', fallback: () => null }).run(async () => ({ id: 1 })),
    // @ts-expect-error no number
    createPipeline<number>({ name: 'n', fallback: () => 'one' }),
  ])
})

test('options are those that there are', () => {
  compiled(() => [
    createPipeline({ name: 'a', deadline: false, retry: true, breaker: { window: { calls: 100 } }, limit: 5 }),
    createPipeline({ name: 'a', retry: { budget: createBudget({ ratio: 0.2 }) }, hedge: { after: '20ms' } }),
    createPipeline({
      name: 'a',
      chaos: createChaos({ seed: 1, rules: [{ rate: 0.1, fault: 'latency', ms: [1, 5] }] }),
    }),
    createPipeline({ name: 'a', classify: { error: () => ({ class: 'throttle', retryAfter: 500 }) } }),
    // @ts-expect-error no name
    createPipeline({ deadline: '3s' }),
    // @ts-expect-error no such option
    createPipeline({ name: 'a', timeout: '3s' }),
    // @ts-expect-error no Duration
    createPipeline({ name: 'a', deadline: '3 seconds' }),
    // @ts-expect-error no such verdict
    createPipeline({ name: 'a', classify: { value: () => 'bad' } }),
    // @ts-expect-error nothing but a budget, or false
    createPipeline({ name: 'a', retry: { budget: 10 } }),
    // @ts-expect-error a latency has a least and a most
    createChaos({ seed: 1, rules: [{ rate: 0.1, fault: 'latency', ms: 5 }] }),
  ])
})

test('options of a call are those that there are', () => {
  compiled(() => [
    pipeline.run(({ signal, attempt, remaining, key }) => [signal, attempt, remaining, key], {
      key: 'eu',
      priority: 0,
    }),
    // @ts-expect-error from 0 to 3
    pipeline.run(() => 1, { priority: 4 }),
    // @ts-expect-error no such state
    pipeline.force('shut'),
    // @ts-expect-error no such verdict
    pipeline.admit().settle('good'),
  ])
})

test('codes are known, and a pipeline is a component', () => {
  expectTypeOf<'BREAKER_OPEN'>().toExtend<ResilienceErrorCode>()
  expectTypeOf<'OPEN'>().not.toExtend<ResilienceErrorCode>()
  expectTypeOf<Pipeline>().toExtend<Component>()
  compiled((error?: unknown) => isKeelsonError(error, 'SHED'))
})
