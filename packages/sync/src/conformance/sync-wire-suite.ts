import type { Suite } from '@keelson/kernel/conformance'
import type { WireServer } from './wire-server.ts'
import { decidingCases } from './wire/deciding.ts'
import { mergingCases } from './wire/merging.ts'
import { pullingCases } from './wire/pulling.ts'
import { pushCases } from './wire/push.ts'
import { requestCases } from './wire/requests.ts'
import { scopeCases } from './wire/scopes.ts'

/**
 * All that a server of sync promises over HTTP, whatever it is written in: {@link WireServer} says what it must serve. What
 * a subject `has`: 'rebase'. A server may be shared by cases that run one after the other: each has records and devices of
 * its own, which stay.
 */
export const syncWireSuite: Suite<WireServer> = {
  name: 'sync wire',
  of: 'url',
  cases: [...pushCases, ...mergingCases, ...requestCases, ...pullingCases, ...scopeCases, ...decidingCases],
}
