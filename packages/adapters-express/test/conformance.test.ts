import { describe, it } from 'vitest'
import { httpSuite } from '@keelson/http/conformance'
import { register } from '@keelson/kernel/conformance'
import { expressSubject } from './express-subject.ts'
import { frameworks } from './support.ts'

describe.each(frameworks)('on $framework', (framework) => {
  register(httpSuite, { make: async () => ({ ...expressSubject(framework), async dispose() {} }) }, { describe, it })
})
