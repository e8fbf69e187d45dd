import { command, type Command } from './command.ts'
import { BROKEN, Failure, OK } from './failure.ts'
import { readNote, saveNote } from './notes.ts'
import { print } from './output.ts'
import { anyPlaceOf } from './place.ts'
import { indexOf, verifierOf } from './values.ts'
import { verdictText } from './verdict-text.ts'
import { verifyStore } from './verify-store.ts'
import { verifyTree } from './verify-tree.ts'

/** Reads and hashes a log again. Nothing of it is changed. */
export const verify: Command = command({
  name: 'verify',
  operands: '',
  what: `Reads and hashes a whole log again, and says what is not as it was sealed.
Whose log it is, the keys say: ask its owner for the verifier, not the log.
Exit code: 0 in order, 1 broken, 2 nothing can be told.`,
  flags: ['tiles', 'dir', 'database-url', 'schema', 'log', 'key', 'against', 'save', 'pruned', 'json', 'help'],
  async run({ flags, operands }) {
    if (operands.length > 0) throw new Failure(`no operand is needed (got '${operands[0]}')`)
    const place = anyPlaceOf(flags, process.env)
    const { key: keys = [], save } = flags
    if (keys.length === 0) throw new Failure('--key VERIFIER is needed: who signs this log, as keygen showed it')
    for (const text of keys) verifierOf('key', text)
    if (flags.pruned !== undefined && place.kind !== 'tiles') {
      throw new Failure('--pruned goes with --tiles; other logs know it themselves')
    }
    const pruned = flags.pruned === undefined ? 0 : indexOf('pruned', flags.pruned)
    const against = await Promise.all((flags.against ?? []).map((path) => readNote(path, keys)))

    const { found, checkpoint } = await (place.kind === 'tiles'
      ? verifyTree(place.dir, { keys, against, pruned })
      : verifyStore(place, { keys, against }))
    // Before anything is printed: who reads may leave early.
    process.exitCode = found.ok ? OK : BROKEN
    if (checkpoint !== undefined && save !== undefined) await saveNote(save, checkpoint)
    await print(flags.json === true ? `${JSON.stringify(found)}\n` : verdictText(found))
    return process.exitCode
  },
})
