import { Redis } from 'ioredis'
import { createIdempotency, type Call } from '@keelson/idempotency'
import { redisStore } from '@keelson/idempotency/redis'
import { flight } from '../../../../tools/crash/flight.ts'
import type { Counts, CrashScenario, JudgedWrite } from '../../../../tools/crash/scenario.ts'

// Claim; the call outside; its checkpoint; a note that it is kept; the answer.
flight(Redis.prototype, 'sendCommand')

/** run() on Redis, by either guarantee, around an outside world that counts its calls. Retries wait for the lease. */
const scenario: CrashScenario = {
  kinds: { 'at-least-once': 1, 'at-most-once': 1 },

  async open({ redisUrl, space }) {
    const store = redisStore(new Redis(redisUrl), { prefix: space })
    const idempotency = createIdempotency({ store, lease: '500ms', wait: '30s', storeTimeout: '60s' })
    const outside = new Redis(redisUrl)
    const ledger = (key: string): string => `${space}:ledger:${key}`
    const callOf = (key: string): Call => ({ scope: 'm1', op: 'pay', key })
    return {
      async write(key, kind) {
        const outcome = await idempotency.run({ ...callOf(key), guarantee: kind as never }, async (x) => {
          if (x.checkpoint === undefined) {
            const id = await outside.rpush(ledger(key), 'called')
            await x.save('called', { id })
            await outside.rpush(ledger(key), 'saved')
          }
          return { by: x.operationId }
        })
        return outcome.ok ? JSON.stringify(outcome.value) : outcome.code
      },
      async read(keys) {
        const read = async (key: string): Promise<[string, Counts]> => {
          const said = await outside.lrange(ledger(key), 0, -1)
          const record = await idempotency.find(callOf(key))
          const afterSave =
            said.indexOf('saved') < 0 ? 0 : said.lastIndexOf('called') - said.indexOf('saved') > 0 ? 1 : 0
          const calls = said.filter((each) => each === 'called').length
          return [key, { calls, callsAfterSave: afterSave, answers: record?.state === 'done' ? 1 : 0 }]
        }
        return new Map(await Promise.all(keys.map(read)))
      },
    }
  },

  judge: (write) => (write.kind === 'at-most-once' ? atMostOnce(write) : atLeastOnce(write)),
}
export default scenario

/** The call may be repeated, unless its checkpoint was kept; the answer is stored once, and a retry always gets one. */
function atLeastOnce({ counts, told }: JudgedWrite): string | undefined {
  const { calls = 0, callsAfterSave = 0, answers = 0 } = counts
  if (callsAfterSave > 0) return 'called again although its checkpoint was kept'
  if (calls > 2) return 'one death, but called more than twice'
  if (answers > 0 && calls === 0) return 'answered without a call'
  if (told !== undefined && !(told.startsWith('{') && answers === 1)) return 'told, but not stored'
  return undefined
}

/** Whatever happens, the call is not repeated; a client is told the stored answer, or that nobody knows. */
function atMostOnce({ counts, told }: JudgedWrite): string | undefined {
  const { calls = 0, answers = 0 } = counts
  if (calls > 1) return 'called twice'
  if (answers > calls) return 'answered without a call'
  if (told === 'OUTCOME_UNKNOWN') return answers === 0 ? undefined : 'stored, but called unknown'
  if (told !== undefined && !(told.startsWith('{') && answers === 1)) return 'told, but not stored'
  return undefined
}
