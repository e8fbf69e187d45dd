import { describe, it } from 'vitest'
import { register } from '@keelson/kernel/conformance'
import { syncClientStoreSuite } from '../../src/conformance/index.ts'
import { clientStores } from './stores.ts'

describe.each(Object.entries(clientStores))('%s', (_, subject) => {
  register(syncClientStoreSuite, subject, { describe, it })
})
