import { open } from 'node:fs/promises'
import { isKeyName, keyNameAllowed } from '../note/key-name.ts'
import { generateKey } from '../note/keys.ts'
import { command, type Command } from './command.ts'
import { Failure, OK } from './failure.ts'
import { print, tell } from './output.ts'

/** Makes a signing key. Its secret half is written once, and nowhere else. */
export const keygen: Command = command({
  name: 'keygen',
  operands: '<name>',
  what: `Makes the key of a log. The name becomes the log's origin: acme.example/prod.
The signer goes to the standard output, or into the file of --out; it is secret, and shown once.
The verifier is public. It goes to the standard error, or with --out to the standard output.`,
  flags: ['out', 'help'],
  async run({ flags: { out }, operands: [name, ...more] }) {
    if (name === undefined) throw new Failure("a name is needed, such as acme.example/prod: it is the log's origin")
    if (more.length > 0) throw new Failure(`one name is needed (got ${more.length + 1})`)
    if (!isKeyName(name)) throw new Failure(`the name must be ${keyNameAllowed} (got '${name}')`)
    const { signer, verifier } = generateKey(name)
    if (out === undefined) {
      await print(`${signer}\n`)
      tell(`verifier, to be published: ${verifier}`)
    } else {
      await writeSecret(out, `${signer}\n`)
      await print(`${verifier}\n`)
    }
    return OK
  },
})

/** Never over another file, which may be the only copy of a key. */
async function writeSecret(path: string, text: string): Promise<void> {
  try {
    await using file = await open(path, 'wx', 0o600)
    await file.writeFile(text)
    await file.sync()
  } catch (error) {
    const { code = String(error) } = error as NodeJS.ErrnoException
    throw new Failure(
      code === 'EEXIST'
        ? `--out must be a new file; '${path}' is there already`
        : `--out: '${path}' cannot be written: ${code}`,
    )
  }
}
