import { userInfo } from 'node:os'
import type { Query } from '../audit.ts'
import { command, type Command } from './command.ts'
import { Failure, OK } from './failure.ts'
import { openAudit } from './open-audit.ts'
import { print, tell } from './output.ts'
import { placeOf } from './place.ts'
import { instantOf, partyOf, wordOf } from './values.ts'
import type { Arguments } from './arguments.ts'

/** Prints entries, a line of JSON each. */
export const exportEntries: Command = command({
  name: 'export',
  operands: '',
  what: `Prints entries as lines of JSON: the documents as they are stored, of which the hashes are.
From a Postgres the export is an entry itself (audit.log.exported), written before the first line.
A folder is only read: who has its files has the entries, and no log could tell.`,
  flags: [
    'dir',
    'database-url',
    'schema',
    'log',
    'scope',
    'actor',
    'action',
    'target',
    'outcome',
    'from',
    'to',
    'order',
    'by',
    'unrecorded',
    'help',
  ],
  async run({ flags, operands }) {
    if (operands.length > 0) throw new Failure(`no operand is needed (got '${operands[0]}')`)
    const place = placeOf(flags, process.env)
    const query = queryOf(flags)
    const by = byOf(flags.by)
    const recorded = place.kind === 'postgres' && flags.unrecorded !== true
    if (!recorded && flags.by !== undefined) throw new Failure('--by has no meaning for an export that is not recorded')
    await using log = await openAudit(place, { write: false, recorded })
    for await (const line of log.audit.export(query, { by })) await print(line)
    if (!recorded) tell('keelson-audit export: this export is not recorded in the log')
    return OK
  },
})

type QueryFlags = Arguments<'scope' | 'actor' | 'action' | 'target' | 'outcome' | 'from' | 'to' | 'order'>['flags']

function queryOf({ scope, actor, action, target, outcome, from, to, order }: QueryFlags): Query {
  if (scope === undefined) throw new Failure("--scope SCOPE is needed: the tenant, or '*' for all")
  return {
    scope,
    ...(actor === undefined ? {} : { actor: partyOf('actor', actor) }),
    ...(action === undefined ? {} : { action }),
    ...(target === undefined ? {} : { target: partyOf('target', target) }),
    ...(outcome === undefined ? {} : { outcome: wordOf('outcome', outcome, ['success', 'failure', 'unknown']) }),
    ...(from === undefined ? {} : { from: instantOf('from', from) }),
    ...(to === undefined ? {} : { to: instantOf('to', to) }),
    ...(order === undefined ? {} : { order: wordOf('order', order, ['desc', 'asc']) }),
  }
}

function byOf(text: string | undefined): { readonly type: string; readonly id: string } {
  if (text === undefined) return { type: 'os-user', id: userInfo().username }
  const { type, id } = partyOf('by', text)
  if (id === undefined) throw new Failure(`--by must be TYPE:ID such as user:u_17 (got '${text}')`)
  return { type, id }
}
