import { expect, test } from 'vitest'
import { schemaIssues } from '../src/schema-issues.ts'

const error = (issues: unknown): Error => Object.assign(new Error('invalid'), { issues })

test('issues of Standard Schema become JSON pointers', () => {
  const issues = [
    { message: 'too heavy', path: ['parcels', 0, 'kg'] },
    { message: 'unknown', path: [{ key: 'a/b~c' }] },
    { message: 'not an object' },
  ]
  expect(schemaIssues(error(issues))).toEqual([
    { pointer: '/parcels/0/kg', detail: 'too heavy' },
    { pointer: '/a~1b~0c', detail: 'unknown' },
    { pointer: '', detail: 'not an object' },
  ])
})

test.each([[undefined], [[]], [[{}]], ['text'], [[{ message: 1 }]], [[{ message: 'x', path: 'y' }]]])(
  'an error with issues %j is none of a schema',
  (issues) => expect(schemaIssues(error(issues))).toBeUndefined(),
)
