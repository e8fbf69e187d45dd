import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type * as Kernel from '../src/index.ts'

/** Another copy of the kernel in this process, as two versions in one node_modules would be. */
export async function secondCopy(): Promise<typeof Kernel> {
  const folder = await mkdtemp(join(tmpdir(), 'keelson-kernel-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  await cp(join(import.meta.dirname, '../src'), folder, { recursive: true })
  return (await import(join(folder, 'index.ts'))) as typeof Kernel
}
