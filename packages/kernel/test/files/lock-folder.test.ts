import { spawnSync } from 'node:child_process'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { lockFolder } from '../../src/files/index.ts'

const LOCKED = new Error('it is locked')
const locked = (): Error => LOCKED

async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'keelson-kernel-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  return dir
}

test('who has a folder is named, until it is given back', async () => {
  const dir = await folder()
  const unlock = await lockFolder(dir, locked)
  await expect(lockFolder(dir, ({ pid }) => new Error(`process ${pid}`))).rejects.toThrow(`process ${process.pid}`)
  await unlock()
  await (
    await lockFolder(dir, locked)
  )()
})

test('of many that find the lock of a dead process one takes it, however often', async () => {
  const dir = await folder()
  const { pid } = spawnSync(process.execPath, ['--version'])
  await writeFile(join(dir, 'lock.4'), JSON.stringify({ pid, began: 'long ago' }))
  for (let round = 0; round < 20; round++) {
    const tries = await Promise.allSettled(Array.from({ length: 20 }, () => lockFolder(dir, locked)))
    const won = tries.filter((one) => one.status === 'fulfilled')
    expect(won).toHaveLength(1)
    expect(tries.filter((one) => one.status === 'rejected' && one.reason !== LOCKED)).toEqual([])
    await won[0]!.value()
  }
  expect((await readdir(dir)).filter((name) => name.startsWith('lock.'))).toHaveLength(1)
})

test('a pid that was given to another process is not the one that had it', async () => {
  const dir = await folder()
  await writeFile(join(dir, 'lock.1'), JSON.stringify({ pid: process.pid, began: 'another boot' }))
  const unlock = await lockFolder(dir, locked)
  await unlock()
})
