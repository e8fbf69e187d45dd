import fc from 'fast-check'
import { Redis } from 'ioredis'
import { afterAll, expect, inject, test } from 'vitest'
import { defineScript, redisPort } from '@keelson/kernel/redis'
import {
  afterClaim,
  afterEnd,
  afterSignal,
  afterSlow,
  healed,
  laneCapacity,
  laneOpensMs,
  redrivenCapacity,
  type LaneHealth,
  type LaneNotice,
  type LaneRules,
  type LaneSignal,
} from '../../src/lane.ts'
import { laneLua } from '../../src/redis/lane.lua.ts'
import { HEALTH_FIELDS, rulesLua } from '../../src/redis/record.lua.ts'
import { packRules } from '../../src/redis/rules.ts'

const client = new Redis(inject('redisUrl'))
const port = redisPort(client)
afterAll(() => client.disconnect())

/** One step on a lane; it tells all that the rules say of it afterwards. */
const script = defineScript(`${laneLua}${rulesLua}
local l = {}
for i, field in ipairs({ ${HEALTH_FIELDS.map((field) => `'${field}'`).join(', ')} }) do
  local value = ARGV[i + 1]
  l[field] = tonumber(value) or (value ~= '' and (value == 'true' or value) or false)
end
set_rules(l, ARGV[1])
local at = ${HEALTH_FIELDS.length + 2}
local step, flag, number, now = ARGV[at], ARGV[at + 1] == '1', tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
local notice = ''
if step == 'claim' then after_claim(l, flag, now)
elseif step == 'end' then after_end(l, flag)
elseif step == 'slow' then after_slow(l)
elseif step == 'heal' then heal(l)
else notice = after_signal(l, step, flag, number, now) end
local function text(value)
  return type(value) == 'number' and string.format('%.17g', value) or value and tostring(value) or ''
end
local told = { notice, text(capacity(l)), text(redriven_capacity(l)), text(opens_ms(l)) }
for _, field in ipairs({ ${HEALTH_FIELDS.map((field) => `'${field}'`).join(', ')} }) do told[#told + 1] = text(l[field]) end
return told
`)

const ms = fc.oneof(fc.nat(1_000), fc.integer({ min: 1_700_000_000_000, max: 1_700_000_100_000 }))
const orNull = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null })
const rules: fc.Arbitrary<LaneRules> = fc.record({
  concurrency: fc.integer({ min: 1, max: 9 }),
  rate: orNull(fc.record({ limit: fc.integer({ min: 1, max: 7 }), perMs: fc.integer({ min: 1, max: 70_001 }) })),
  leaseMs: fc.integer({ min: 1, max: 60_000 }),
  breaker: orNull(
    fc.record({
      failures: fc.integer({ min: 1, max: 4 }),
      cooldownMs: fc.integer({ min: 1, max: 30_000 }),
      maxCooldownMs: fc.integer({ min: 1, max: 90_000 }),
    }),
  ),
  disableAfterMs: orNull(fc.integer({ min: 1, max: 150_000 })),
})
const lane: fc.Arbitrary<LaneHealth> = fc
  .record({
    inFlight: fc.nat(9),
    redriven: fc.nat(9),
    limit: fc.integer({ min: 1, max: 9 }),
    suspect: fc.boolean(),
    blockedUntilMs: orNull(ms),
    blockedBy: fc.constantFrom('receiver', 'key'),
    failures: fc.nat(5),
    openUntilMs: orNull(ms),
    cooldownMs: fc.nat(60_000),
    failingSinceMs: orNull(ms),
    noticed: fc.constantFrom(0, 50, 70, 90),
    rateUsedMs: fc.oneof(
      ms,
      ms.map((value) => value + 1 / 3),
    ),
  })
  .map((l) => ({ ...l, blockedBy: l.blockedUntilMs === null ? null : l.blockedBy }))
type Step =
  | { kind: 'claim' | 'end'; redriven: boolean }
  | { kind: 'slow' | 'heal' }
  | { kind: 'signal'; signal: LaneSignal }
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constantFrom('claim', 'end'), redriven: fc.boolean() }),
  fc.record({ kind: fc.constantFrom('slow', 'heal') }),
  fc.record({
    kind: fc.constant('signal'),
    signal: fc.oneof(
      fc.record({ kind: fc.constant('success'), fast: fc.boolean() }),
      fc.record({ kind: fc.constantFrom('failure', 'timeout', 'gone', 'none') }),
      fc.record({ kind: fc.constantFrom('slow-down', 'no-key'), blockMs: fc.nat(100_000) }),
    ) as fc.Arbitrary<LaneSignal>,
  }),
) as fc.Arbitrary<Step>

function inTypeScript(l: LaneHealth, r: LaneRules, s: Step, nowMs: number) {
  switch (s.kind) {
    case 'claim':
      return { lane: afterClaim(l, r, s.redriven, nowMs), notices: [] }
    case 'end':
      return { lane: afterEnd(l, s.redriven), notices: [] }
    case 'slow':
      return { lane: afterSlow(l), notices: [] }
    case 'heal':
      return { lane: healed(l), notices: [] }
    case 'signal':
      return afterSignal(l, r, s.signal, nowMs)
  }
}

function noticeText([notice]: readonly LaneNotice[]): string {
  if (notice === undefined || notice.kind === 'recovered') return notice?.kind ?? ''
  return `${notice.kind}:${notice.kind === 'disabled' ? notice.reason : notice.percent}`
}

const text = (value: string | number | boolean | null): string =>
  value === null || value === false ? '' : String(value)

test('the rules in Lua say the same as those in TypeScript, number by number', async () => {
  await fc.assert(
    fc.asyncProperty(lane, rules, step, ms, async (l, r, s, nowMs) => {
      const signal = s.kind === 'signal' ? s.signal : { kind: s.kind }
      const flag = 'redriven' in s ? s.redriven : 'fast' in signal && signal.fast
      const told = (await port.script(
        script,
        ['any'],
        [
          packRules(r),
          ...Object.values(l).map(text),
          signal.kind,
          flag ? 1 : 0,
          'blockMs' in signal ? signal.blockMs : 0,
          nowMs,
        ],
      )) as Buffer[]
      const expected = inTypeScript(l, r, s, nowMs)
      const after = expected.lane
      const numbers = [
        laneCapacity(after, r),
        redrivenCapacity(after, r),
        laneOpensMs(after, r),
        ...Object.values(after),
      ]
      const shown = told.slice(1).map((each) => (/^[\d.e+-]+$/.test(String(each)) ? Number(each) : String(each)))
      expect(String(told[0])).toBe(noticeText(expected.notices))
      expect(shown).toEqual(numbers.map((each) => (typeof each === 'number' ? each : text(each))))
    }),
    { numRuns: process.env['LONG'] === '1' ? 20_000 : 2_000 },
  )
})
