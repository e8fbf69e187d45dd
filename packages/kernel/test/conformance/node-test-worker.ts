import { describe, it } from 'node:test'
import { register } from '../../src/conformance/index.ts'
import { counter, counterSuite } from './counter.ts'

register(counterSuite, counter(process.env['COUNTER'] === 'broken' ? 2 : 1, { has: ['reset'] }), { describe, it })
