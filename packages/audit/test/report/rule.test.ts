import { describe, expect, test } from 'vitest'
import { FRAMEWORKS } from '../../src/report/frameworks.ts'
import { holds, kindOf, queryOf } from '../../src/report/rule.ts'

const entry = {
  category: ['iam'],
  type: ['user', 'change'],
  action: 'user.update',
  roles: ['clerk'],
  outcome: 'success',
}

test('a rule holds when each of its members does, by one of its words', () => {
  expect(holds({}, entry)).toBe(true)
  expect(holds({ category: ['iam', 'file'], type: ['change'] }, entry)).toBe(true)
  expect(holds({ category: ['iam'], type: ['deletion'] }, entry)).toBe(false)
  expect(holds({ category: ['iam'], outcome: 'failure' }, entry)).toBe(false)
  expect(holds({ role: ['admin', 'clerk'] }, entry)).toBe(true)
  expect(holds({ action: ['user.delete'] }, entry)).toBe(false)
  expect(holds({ category: ['iam'] }, { ...entry, category: [] })).toBe(false)
})

test('an action has its own kind, or that of the longest pattern', () => {
  const kinds = {
    'user.*': { type: ['user'] },
    'user.role.*': { type: ['admin'] },
    'user.role.add': { type: ['change'] },
  }
  const typeOf = (action: string) => kindOf(kinds, action)?.type?.[0]
  expect(['user.role.add', 'user.role.drop', 'user.a.b.c', 'user', 'users.x'].map(typeOf)).toEqual([
    'change',
    'admin',
    'user',
    undefined,
    undefined,
  ])
  expect(kindOf(kinds, 'toString')).toBeUndefined()
})

test('rules are asked in KQL, also for the kinds that the caller gives to actions', () => {
  expect(queryOf([{}], {})).toBe('*')
  expect(queryOf([{ category: ['iam'], type: ['change', 'admin'] }], {})).toBe(
    '(event.category:iam and event.type:(change or admin))',
  )
  expect(queryOf([{ category: ['authentication'], outcome: 'failure' }, { type: ['denied'] }], {})).toBe(
    '((event.category:authentication and event.outcome:failure) or event.type:denied)',
  )
  const kinds = { 'login.*': { category: ['authentication'] }, 'a.b': { category: ['iam'] } }
  expect(queryOf([{ category: ['authentication'], outcome: 'failure' }], kinds)).toBe(
    '((event.category:authentication or (not event.category:* and event.action:login.*)) and event.outcome:failure)',
  )
})

describe.each(Object.entries(FRAMEWORKS))('%s', (_, { controls }) => {
  test('names each control once, says what it shows and what not, and has no bare claims', () => {
    expect(new Set(controls.map(({ id }) => id)).size).toBe(controls.length)
    for (const { id, title, shows, limits, evidence } of controls) {
      expect(id).toMatch(/^(CC|C|Art\. |164\.|10\.)\d/)
      expect(title).toMatch(/\S/)
      expect(limits).toMatch(/\.$/)
      expect(shows === 'Nothing.').toBe(evidence.kind === 'beyond')
    }
    expect(controls.some(({ evidence }) => evidence.kind === 'beyond')).toBe(true)
  })

  test('asks for words of ECS', () => {
    const rules = controls.flatMap(({ evidence }) => (evidence.kind === 'entries' ? evidence.any : []))
    for (const { category = [], type = [] } of rules) {
      expect(CATEGORIES).toEqual(expect.arrayContaining([...category]))
      expect(TYPES).toEqual(expect.arrayContaining([...type]))
    }
  })
})

/** https://www.elastic.co/docs/reference/ecs/ecs-allowed-values-event-category, and -type. */
const CATEGORIES = `api authentication configuration database driver email file host iam intrusion_detection library
  malware network package process registry session threat vulnerability web`.split(/\s+/)
const TYPES = `access admin allowed change connection creation deletion denied device end error group indicator info
  installation protocol start user`.split(/\s+/)
