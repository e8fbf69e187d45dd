/** What calls and keys take, in a process of its own with --expose-gc and a young generation that holds a run. */
import { createPipeline } from '@keelson/resilience'
import { serveParent } from '../../src/child.ts'
import { cockatiel, FULL, keelson, opossum } from './pipeline-subjects.ts'

const CALLS = 20_000
const KEYS = 10_000

/** Alive to the end. */
let kept: unknown

const answer = async (): Promise<number> => 1

serveParent(async ({ what }: { what: string }) => {
  if (what === 'keys') return { bytes: await bytesOfKey() }
  const call = callOf(what)
  const least = async (one: () => Promise<unknown>): Promise<number> => {
    let bytes = Infinity
    for (let i = 0; i < 10; i++) bytes = Math.min(bytes, await allocated(one))
    return bytes
  }
  return { bytes: Math.round((await least(call)) - (await least(answer))) }
})

function callOf(what: string): () => Promise<unknown> {
  if (what === 'cockatiel') return cockatiel(answer)
  if (what === 'opossum') return opossum(answer).call
  const { pipeline, call } = keelson(answer)
  if (what !== 'refused') return call
  pipeline.force('open')
  return () => pipeline.try(answer)
}

/** Bytes that a call leaves to the collector. */
async function allocated(call: () => Promise<unknown>): Promise<number> {
  globalThis.gc!()
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < CALLS; i++) await call()
  return (process.memoryUsage().heapUsed - before) / CALLS
}

async function bytesOfKey(): Promise<number> {
  // What code takes is not the keys'.
  kept = await pipelineWith(textsOf('warm'))
  const keys = textsOf('key')
  const before = liveBytes()
  kept = [kept, await pipelineWith(keys), keys]
  return (liveBytes() - before) / KEYS
}

function textsOf(word: string): string[] {
  return Array.from({ length: KEYS }, (_, i) => Buffer.from(`${word}:${i}`).toString('latin1'))
}

async function pipelineWith(keys: readonly string[]): Promise<unknown> {
  const pipeline = createPipeline({ name: 'bench', retry: FULL.retry!, breaker: FULL.breaker!, keys: { max: KEYS } })
  for (const key of keys) await pipeline.run(answer, { key })
  return pipeline
}

function liveBytes(): number {
  for (let i = 0; i < 4; i++) globalThis.gc!()
  const { heapUsed, external } = process.memoryUsage()
  void kept
  return heapUsed + external
}
