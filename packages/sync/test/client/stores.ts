import { cp, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Subject } from '@keelson/kernel/conformance'
import { fileStore } from '../../src/client/file/index.ts'
import { memoryStore } from '../../src/client/index.ts'
import type { ClientStoreUnderTest } from '../../src/conformance/index.ts'
import { soundClientStore } from '../../src/conformance/broken-client-stores.ts'

/** Every store that a client has without a browser. */
export const clientStores: Record<string, Subject<ClientStoreUnderTest>> = {
  memory: { make: async () => ({ open: async () => memoryStore(), async dispose() {} }) },
  file: { has: ['kept', 'crash'], make: onFiles },
  'what broken ones are made of': soundClientStore,
}

/** A crash leaves its files as they are at that moment: another folder goes on with them. */
async function onFiles() {
  const root = await mkdtemp(join(tmpdir(), 'keelson-sync-'))
  const opened: { close(): Promise<void> }[] = []
  let lives = 0
  const folder = (): string => join(root, `life-${lives}`)
  return {
    async open() {
      const store = fileStore(folder())
      opened.push(store)
      return store
    },
    async crash() {
      const before = folder()
      lives++
      for (const name of await readdir(before))
        if (name.startsWith('log')) await cp(join(before, name), join(folder(), name))
    },
    async dispose() {
      await Promise.allSettled(opened.map((store) => store.close()))
      await rm(root, { recursive: true, force: true })
    },
  }
}
