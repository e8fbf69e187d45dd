import type { Arguments } from './arguments.ts'
import { command, type Command } from './command.ts'
import { Failure, OK } from './failure.ts'
import { openAudit } from './open-audit.ts'
import { print } from './output.ts'
import { placeOf, type StorePlace } from './place.ts'

type Flags = Arguments<'sink' | 'all' | 'reason' | 'json'>['flags']

const VERBS = { list, replay, discard } as const
const ALLOWED = 'list, replay or discard'

/** What sinks refused for good. */
export const deadLetters: Command = command({
  name: 'dead-letters',
  operands: 'list | replay [ID ...] | discard ID ...',
  what: `Entries that a sink refused for good: listed, delivered again, or given up.
The running processes deliver again what replay names. Of a folder only list works while a process has it.`,
  flags: ['dir', 'database-url', 'schema', 'log', 'sink', 'all', 'reason', 'json', 'help'],
  async run({ flags, operands: [verb, ...ids] }) {
    if (verb === undefined) throw new Failure(`what to do is needed: ${ALLOWED}`)
    if (!Object.hasOwn(VERBS, verb)) throw new Failure(`dead letters can be asked to ${ALLOWED} (got '${verb}')`)
    return VERBS[verb as keyof typeof VERBS](placeOf(flags, process.env), flags, ids)
  },
})

async function list(place: StorePlace, { sink, all, reason, json }: Flags, ids: readonly string[]): Promise<number> {
  if (ids.length > 0) throw new Failure(`list takes no ids (got '${ids[0]}')`)
  if (all === true || reason !== undefined) throw new Failure('list takes neither --all nor --reason')
  await using log = await openAudit(place, { write: false })
  let after: string | undefined
  do {
    const page = await log.audit.deadLetters.list({ ...(sink && { sink }), ...(after && { after }) })
    for (const { index, id, atMs, reason: why, ...dead } of page.items) {
      const at = new Date(atMs).toISOString()
      const line = { sink: dead.sink, index, id, at, reason: why }
      await print(
        json === true ? `${JSON.stringify(line)}\n` : `${dead.sink}  ${index}  ${id}  ${at}  ${oneLine(why)}\n`,
      )
    }
    after = page.next
  } while (after !== undefined)
  return OK
}

async function replay(place: StorePlace, { sink, all, reason, json }: Flags, ids: readonly string[]): Promise<number> {
  if (reason !== undefined) throw new Failure('replay takes no --reason')
  if (all === true ? ids.length > 0 || sink !== undefined : ids.length === 0 && sink === undefined) {
    throw new Failure('replay needs ids, --sink NAME, or --all alone')
  }
  await using log = await openAudit(place, { write: true })
  const count = await log.audit.deadLetters.replay({ ...(sink && { sink }), ...(ids.length > 0 && { ids }) })
  await print(json === true ? `${JSON.stringify({ replayed: count })}\n` : `${count} will be delivered again\n`)
  return OK
}

async function discard(place: StorePlace, { sink, all, reason, json }: Flags, ids: readonly string[]): Promise<number> {
  if (sink !== undefined || all === true) throw new Failure('discard takes ids, not --sink or --all')
  if (ids.length === 0) throw new Failure('discard needs ids of entries')
  if (reason === undefined) throw new Failure('--reason TEXT is needed: why a sink will never have them')
  await using log = await openAudit(place, { write: true })
  const count = await log.audit.deadLetters.discard(ids, reason)
  await print(json === true ? `${JSON.stringify({ discarded: count })}\n` : `${count} discarded\n`)
  return OK
}

/** A sink's words may be of many lines. */
function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ')
}
