/** A private Redis whose clock can be set forward and back: its wall clock alone, as when an administrator does it. */
import { globSync } from 'node:fs'
import { chmod, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { demandProgram, findOrInstall } from './find-program.ts'
import { startRedis, stopAtOnce, type RedisServer } from './redis.ts'

const LIBRARY = '/usr/lib/*/faketime/libfaketime.so.1'
/** libfaketime and jemalloc need each other at their start, so the server allocates with the C library. */
const MALLOC = 'libc.so.6'
const MS_PER_S = 1_000

/** A running server. */
export interface JumpingRedis extends AsyncDisposable {
  readonly server: RedisServer
  /** Sets the clock so much forward, or back. */
  jump(ms: number): Promise<void>
}

/** Starts a new, empty server at the true time, under libfaketime. Throws when that is missing. */
export async function startJumpingRedis(): Promise<JumpingRedis> {
  const library = await demandProgram('libfaketime', () =>
    findOrInstall({ find: () => globSync(LIBRARY)[0], debianPackage: 'libfaketime' }),
  )
  const folder = await mkdtemp(join(tmpdir(), 'keelson-clock-'))
  await using started = new AsyncDisposableStack() // cleans up when one fails
  started.defer(() => rm(folder, { recursive: true, force: true }))
  await chmod(folder, 0o755) // the server is another user
  const file = join(folder, 'offset')
  let offsetMs = 0

  // Renamed: half a file would be another time.
  async function write(): Promise<void> {
    const seconds = (offsetMs / MS_PER_S).toFixed(3)
    await writeFile(`${file}.new`, `${offsetMs < 0 ? '' : '+'}${seconds}\n`)
    await rename(`${file}.new`, file)
  }

  await write()
  const server = await startRedis({
    env: {
      LD_PRELOAD: `${library}:${MALLOC}`,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    },
  })
  started.defer(() => stopAtOnce(server))
  const running = started.move()
  return {
    server,
    async jump(ms) {
      offsetMs += ms
      await write()
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  }
}
