import type { Case } from '@keelson/kernel/conformance'
import type { StoreUnderTest } from '../store-under-test.ts'
import { storeCase } from './store-case.ts'

/** The optional methods, by which a subject says what it `has`. */
const OPTIONAL = ['wait', 'sweep', 'counts', 'stuck', 'warnings', 'ofSubject'] as const

/** What a store says of itself. */
export const abilityCases: readonly Case<StoreUnderTest>[] = [
  storeCase('each optional method is named in `has`, and each one named is there', async ({ store, has, equal }) => {
    for (const method of OPTIONAL) {
      equal(typeof store[method] === 'function', has.includes(method), `${method}: the method and \`has\` differ`)
    }
    if (has.includes('close')) equal(typeof store.close, 'function')
  }),

  storeCase('it says whether it is transactional, and is', async ({ store, equal }) => {
    equal(typeof store.transactional, 'boolean')
    equal('within' in store, store.transactional)
  }),

  storeCase('it says that it lives', async ({ store, comes }) => {
    await comes(store.health({ answerMs: 10_000 }), 'health does not answer')
  }),

  storeCase(
    'it warns in words',
    async ({ store, equal }) => {
      for (const warning of await store.warnings!()) equal(typeof warning, 'string')
    },
    'warnings',
  ),

  storeCase(
    'it can be closed twice',
    async ({ store, comes }) => {
      await comes(store.close!(), 'close does not end')
      await comes(store.close!(), 'the second close does not end')
    },
    'close',
  ),
]
