import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { fileStore } from '../../src/file/index.ts'
import { entry, folder, open } from './stage.ts'

test('an entry whose bytes are broken is neither absent nor too old', async () => {
  const dir = await folder()
  const before = open({ store: fileStore({ dir, appendTimeout: '60s' }) })
  const { id } = await before.record(entry)
  await before.record(entry)
  await before.flush()
  await before.close()
  const [name] = (await readdir(join(dir, 'main/seg'))).filter((one) => one.endsWith('.seg'))
  const path = join(dir, 'main/seg', name!)
  const bytes = await readFile(path)
  bytes[bytes.indexOf('order.create')]! ^= 1
  await writeFile(path, bytes)

  const log = open({ store: fileStore({ dir, appendTimeout: '60s' }) })
  await expect(log.get(id)).rejects.toMatchObject({ code: 'STORE_CORRUPT' })
  expect((await log.verify()).problems).toMatchObject([{ code: 'ENTRY_MISSING', index: 0, id }])
})
