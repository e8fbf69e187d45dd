import { randomUUID } from 'node:crypto'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { isKeelsonError } from '@keelson/kernel'
import { openCheckpoint } from '../verify/index.ts'
import { Failure } from './failure.ts'

/** A checkpoint that was kept. Whether it is this log's, verification says. @throws Failure for what is none */
export async function readNote(path: string, keys: readonly string[]): Promise<string> {
  let note: string
  try {
    note = await readFile(path, 'utf8')
  } catch (error) {
    throw new Failure(`--against: '${path}' cannot be read: ${(error as NodeJS.ErrnoException).code}`)
  }
  try {
    openCheckpoint(note, keys)
  } catch (error) {
    if (isKeelsonError(error, 'INPUT_INVALID')) throw new Failure(`--against: '${path}': ${error.message}`)
  }
  return note
}

/** At each moment the old one or the new one is there, whole. */
export async function saveNote(path: string, note: string): Promise<void> {
  const draft = `${path}.${randomUUID()}`
  try {
    await writeFile(draft, note, { flush: true })
    await rename(draft, path)
  } catch (error) {
    throw new Failure(`--save: '${path}' cannot be written: ${(error as NodeJS.ErrnoException).code}`)
  }
}
