import { describe, it } from 'vitest'
import { register } from '@keelson/kernel/conformance'
import { syncStoreSuite } from '../src/conformance/index.ts'
import { stores } from './stores.ts'

describe.each(Object.entries(stores))('%s', (_, subject) => {
  register(syncStoreSuite, subject, { describe, it })
})
