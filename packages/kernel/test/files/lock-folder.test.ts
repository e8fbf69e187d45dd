import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Worker } from 'node:worker_threads'
import { expect, onTestFinished, test, vi } from 'vitest'
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

const FLAGS = ['--conditions=@keelson/source', '--no-warnings', '--input-type=module', '--eval']
/** Takes the folder and stays. */
const holds = (dir: string): string => `
  import { lockFolder } from ${JSON.stringify(new URL('../../src/files/index.ts', import.meta.url).href)}
  await lockFolder(${JSON.stringify(dir)}, ({ pid }) => new Error('locked by ' + pid))
  setInterval(() => {}, 2 ** 31 - 1)
`

test('a worker has its folder until it ends, whatever becomes of its process', async () => {
  const dir = await folder()
  const code = `${holds(dir)}; (await import('node:worker_threads')).parentPort.postMessage('taken')`
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), {
    execArgv: ['--conditions=@keelson/source', '--no-warnings'],
  })
  await once(worker, 'message')
  await expect(lockFolder(dir, locked)).rejects.toBe(LOCKED)
  await worker.terminate()
  const unlock = await lockFolder(dir, locked)
  await expect(lockFolder(dir, locked)).rejects.toBe(LOCKED)
  await unlock()
})

test('a killed process that its parent never asked for has no folder', async () => {
  const dir = await folder()
  // A shell that turns into a program without an interest in its children.
  const script = '"$0" "$@" & exec sleep 1d'
  const parent = spawn('sh', ['-c', script, process.execPath, ...FLAGS, `${holds(dir)}; console.log(process.pid)`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void parent.kill('SIGKILL'))
  const [line] = (await once(createInterface(parent.stdout), 'line')) as [string]
  await expect(lockFolder(dir, locked)).rejects.toBe(LOCKED)
  process.kill(Number(line), 'SIGKILL')
  const unlock = await vi.waitUntil(() => lockFolder(dir, locked).catch(() => undefined), { timeout: 60_000 })
  // It is there still, as one that is dead.
  process.kill(Number(line), 0)
  await unlock()
}, 90_000)

test('who finds no room to say who he is leaves nothing behind', async () => {
  const dir = await folder()
  const { stderr } = spawnSync('sh', ['-c', 'ulimit -f 0 && exec "$0" "$@"', process.execPath, ...FLAGS, holds(dir)], {
    encoding: 'utf8',
  })
  expect(stderr).toContain('EFBIG')
  expect(await readdir(dir)).toEqual([])
})
