import { afterAll, describe, it } from 'vitest'
import { register } from '@keelson/kernel/conformance'
import { auditStoreSuite } from '../src/conformance/index.ts'
import { onTestsEnd, stores } from './stores.ts'

afterAll(async () => {
  for (const end of onTestsEnd) await end()
})

describe.each(Object.entries(stores))('%s', (_, subject) => {
  register(auditStoreSuite, subject, { describe, it })
})
