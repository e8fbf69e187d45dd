import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Captured, StoredResponse } from '@keelson/http'
import { answerTap } from '@keelson/http/adapter'

const MAX_BYTES = 20

interface Step {
  readonly kind: 'chunk' | 'flush' | 'leave' | 'saved'
  readonly text: string
}

const steps = fc.array(
  fc.record({
    kind: fc.constantFrom<Step['kind'][]>('chunk', 'chunk', 'chunk', 'flush', 'leave', 'saved'),
    text: fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 9 }),
  }),
  { maxLength: 12 },
)
const plan = fc.record({
  steps,
  hold: fc.constantFrom('last' as const, 'all' as const),
  status: fc.constantFrom(200, 204),
  type: fc.constantFrom('text/plain', 'text/event-stream'),
  isHead: fc.boolean(),
  replaces: fc.boolean(),
})

describe('an answer tap', () => {
  it('lets every byte go in order, the last one after save; what is kept is what was written', async () => {
    await fc.assert(
      fc.asyncProperty(plan, async ({ steps, hold, status, type, isHead, replaces }) => {
        const hasBody = status === 200 && !isHead
        const other: StoredResponse = { status: 409, headers: [], body: new Uint8Array() }
        const saves: Captured[] = []
        const saved = Promise.withResolvers<StoredResponse | undefined>()
        let isSaved = false
        let out = ''
        let replacedWith: unknown
        let isGone = false
        let dones = 0
        const tap = answerTap({
          before: [],
          maxBytes: MAX_BYTES,
          hold,
          isHead,
          isGone: () => isGone,
          save(captured) {
            saves.push(captured)
            return saved.promise
          },
          replace: (response) => (replacedWith = response),
          fail: (error) => expect(error).toBeUndefined(),
        })
        const settle = async (): Promise<void> => {
          if (isSaved) return
          isSaved = true
          saved.resolve(replaces ? other : undefined)
          await new Promise(setImmediate)
        }
        const go = (text: string) => (done?: () => void) => {
          out += hasBody ? text : ''
          done?.()
          return text.length % 2 === 0
        }
        const written: string[] = []
        const check = (hasEnded: boolean): void => {
          const texts = written.filter((text) => text !== '')
          expect(texts.join('').startsWith(out)).toBe(true)
          // Unsaved, the newest bytes are here.
          if (!(isSaved && saves.length > 0) && hasBody)
            expect(out.length).toBeLessThanOrEqual(texts.slice(0, -1).join('').length)
          if (hasEnded && isSaved && replacedWith === undefined && hasBody) expect(out).toBe(texts.join(''))
        }
        tap.head(status, [['Content-Type', type]])
        for (const { kind, text } of steps) {
          if (kind === 'chunk') {
            written.push(text)
            tap.chunk(Buffer.from(text), go(text), () => dones++)
          }
          if (kind === 'flush') tap.flush(go(''))
          if (kind === 'leave') isGone = true
          if (kind === 'saved' && saves.length > 0) await settle()
          check(false)
        }
        await new Promise(setImmediate)
        const chunks = steps.filter(({ kind }) => kind === 'chunk').length
        written.push('z')
        tap.end(Buffer.from('z'), go('z'))
        check(true)
        await settle()
        check(true)
        expect(dones).toBe(chunks)
        expect(saves).toHaveLength(1)
        const text = hasBody ? written.join('') : ''
        const [captured] = saves
        if (type === 'text/event-stream') expect(captured).toMatchObject({ kind: 'part', why: 'stream' })
        else if (text.length > MAX_BYTES) expect(captured).toMatchObject({ kind: 'part', why: 'too-large' })
        else expect(captured).toMatchObject({ kind: 'whole', response: { status, body: Buffer.from(text) } })
        // Instead, or as it is; never both.
        if (replacedWith !== undefined) expect([replacedWith, out]).toEqual([other, ''])
        expect(tap.phase).toBe(replacedWith === undefined ? 'through' : 'replaced')
      }),
      { numRuns: 2_000 },
    )
  })

  it('ends the answer when handing on fails after save', async () => {
    const failure = new Error('a middleware threw')
    const failed = Promise.withResolvers<unknown>()
    const tap = answerTap({
      before: [],
      maxBytes: 9,
      hold: 'last',
      isHead: false,
      isGone: () => false,
      save: async () => undefined,
      replace: () => {},
      fail: failed.resolve,
    })
    tap.head(200, [])
    tap.end(Buffer.from('x'), () => {
      throw failure
    })
    expect(await failed.promise).toBe(failure)
  })
})
