import { expect, test } from 'vitest'
import { inputFaults } from '../src/input-faults.ts'

const error = (issues: unknown): Error => Object.assign(new Error('invalid'), { issues })

test('issues of Standard Schema become JSON pointers', () => {
  const issues = [
    { message: 'too heavy', path: ['parcels', 0, 'kg'] },
    { message: 'unknown', path: [{ key: 'a/b~c' }] },
    { message: 'not an object' },
  ]
  expect(inputFaults(error(issues))).toEqual([
    { pointer: '/parcels/0/kg', detail: 'too heavy' },
    { pointer: '/a~1b~0c', detail: 'unknown' },
    { pointer: '', detail: 'not an object' },
  ])
})

test.each([[undefined], [[]], [[{}]], ['text'], [[{ message: 1 }]], [[{ message: 'x', path: 'y' }]]])(
  'an error with issues %j is none of a schema',
  (issues) => expect(inputFaults(error(issues))).toBeUndefined(),
)

test("what Ajv found, as Fastify's error has it", () => {
  const validation = [
    { instancePath: '/lines/0/kg', message: 'must be number', keyword: 'type' },
    { instancePath: '', message: "must have required property 'to'" },
  ]
  expect(inputFaults(Object.assign(new Error('invalid'), { validation, statusCode: 400 }))).toEqual([
    { pointer: '/lines/0/kg', detail: 'must be number' },
    { pointer: '', detail: "must have required property 'to'" },
  ])
})
