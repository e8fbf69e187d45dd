import { defineScript, type Script } from '@keelson/kernel/redis'

/** Reads and writes one kind of row, kept as a MessagePack array: fields are only ever added at its end. Null is false. */
function recordLua(name: string, fields: readonly string[]): string {
  return `
local function unpack_${name}(text)
  local a = cmsgpack.unpack(text)
  return { ${fields.map((field, i) => `${field} = a[${i + 1}]`).join(', ')} }
end
local function pack_${name}(r)
  return cmsgpack.pack({ ${fields.map((field) => `r.${field} or false`).join(', ')} })
end
`
}

/**
 * A field of a head, as what it is kept: a number in a code of Lua's `struct`, with a question mark when 0 is null; a
 * flag; a text; or one of these words, or null.
 */
type HeadField = 'B' | 'B?' | 'I4' | 'I6' | 'I6?' | 'd' | 'd?' | 'flag' | 'text' | readonly string[]

/** A row of the hot path. */
interface HotRecord {
  readonly name: string
  /** What is read and written with each of its steps. */
  readonly head: Readonly<Record<string, HeadField>>
  /** What is the same for ever and rarely asked for: in MessagePack, read at the first question for one of them. */
  readonly tail: readonly string[]
  /** What it has besides while a script runs, and how that begins. */
  readonly more: Readonly<Record<string, string>>
}

/** The same for rows of the hot path: a head, then the tail, then `rest`, which is the row's own. */
function hotRecordLua({ name, head, tail, more }: HotRecord): string {
  const fields = Object.entries(head)
  const format = `>${fields.map(([, kind]) => codeOf(kind)).join('')}I4`
  const read = fields.map(([field, kind]) => readLua(field, kind))
  const written = fields.map(([field, kind]) => writtenLua(`r.${field}`, field, kind))
  const tables = fields.flatMap(([field, kind]) => (typeof kind === 'string' ? [] : [wordsLua(field, kind)]))
  const lua = `
${tables.join('\n')}
local lazy_${name} = { __index = function(r, field)
  setmetatable(r, nil)
  if r.tail then ${tail.map((field) => `r.${field}`).join(', ')} = cmsgpack.unpack(r.tail) end
  return r[field]
end }
local function new_${name}()
  return { ${[...fields, ...Object.entries(more), 0, 0, ...tail].map(() => 'false').join(', ')} }
end
local function unpack_${name}(text)
  local ${fields.map(([field]) => field).join(', ')}, tail_size, tail_at = struct.unpack('${format}', text)
  return setmetatable({ ${[...read, ...Object.values(more)].join(', ')},
    string.sub(text, tail_at, tail_at + tail_size - 1), string.sub(text, tail_at + tail_size) }, lazy_${name})
end
local function pack_${name}(r)
  if not r.tail then r.tail = cmsgpack.pack(${tail.map((field) => `r.${field}`).join(', ')}) end
  return struct.pack('${format}', ${written.join(', ')}, #r.tail) .. r.tail .. r.rest
end
`
  return numbered(lua, { r: hotFields({ name, head, tail, more }) })
}

/** The fields of a row in the order in which it has them. */
const hotFields = ({ head, more, tail }: HotRecord): readonly string[] => [
  ...Object.keys(head),
  ...Object.keys(more),
  'tail',
  'rest',
  ...tail,
]

/** Each variable's fields by number: a row is an array, which Lua makes and reads several times faster than a record. */
function numbered(lua: string, rows: Readonly<Record<string, readonly string[]>>): string {
  return lua.replace(
    new RegExp(`\\b(${Object.keys(rows).join('|')})\\.(\\w+)`, 'g'),
    (_, row: string, field: string) => {
      const i = rows[row]!.indexOf(field)
      if (i < 0) throw new Error(`a row "${row}" has no field "${field}"`)
      return `${row}[${i + 1}]`
    },
  )
}

function codeOf(kind: HeadField): string {
  if (kind === 'text') return 'I2c0'
  return typeof kind !== 'string' || kind === 'flag' ? 'B' : kind.replace('?', '')
}

function readLua(value: string, kind: HeadField): string {
  if (typeof kind !== 'string') return `word_of_${value}[${value}] or false`
  if (kind === 'flag') return `${value} ~= 0`
  return kind.endsWith('?') ? `${value} ~= 0 and ${value}` : value
}

function writtenLua(value: string, field: string, kind: HeadField): string {
  if (typeof kind !== 'string') return `${value} and number_of_${field}[${value}] or 0`
  if (kind === 'flag') return `${value} and 1 or 0`
  if (kind === 'text') return `#${value}, ${value}`
  return kind.endsWith('?') ? `${value} or 0` : value
}

const wordsLua = (field: string, all: readonly string[]): string =>
  `local word_of_${field} = { ${all.map((word) => `'${word}'`).join(', ')} }
local number_of_${field} = { ${all.map((word, i) => `${word} = ${i + 1}`).join(', ')} }`

const words = (text: string): string[] => text.split(/\s+/)

/** As `packRules` writes them. */
export const RULE_FIELDS = [
  'concurrency',
  'rate_limit',
  'rate_per',
  'lease',
  'breaker_failures',
  'breaker_cooldown',
  'breaker_max',
  'disable_after',
] as const

/** As `after_signal` and its like know them. */
export const HEALTH_FIELDS = [
  'in_flight',
  'redriven',
  'limit',
  'suspect',
  'blocked_until',
  'blocked_by',
  'failures',
  'open_until',
  'cooldown',
  'failing_since',
  'noticed',
  'rate_used',
] as const

/** `open`, `live`, `again`: its open deliveries, and of them those in each queue; `live_due`, `again_due`: the first of
 *  those. `class` and `ready`, `due`, `held_at`: its places in `ready`, `due` and `held`. `revision` of its endpoint. */
const LANE: HotRecord = {
  name: 'lane',
  head: {
    scope: 'text',
    id: 'text',
    rules: 'text',
    concurrency: 'I4',
    lease: 'd',
    rate_limit: 'd',
    in_flight: 'I4',
    redriven: 'I4',
    limit: 'I4',
    rate_used: 'd',
    open: 'I4',
    live: 'I4',
    again: 'I4',
    live_due: 'd?',
    again_due: 'd?',
    served: 'd',
    class: 'B?',
    ready: 'd?',
    due: 'd?',
    held_at: 'd?',
    held_since: 'd?',
    state: ['active', 'paused', 'disabled'],
    scope_paused: 'flag',
    removed: 'flag',
    revision: 'I4',
  },
  tail: RULE_FIELDS.filter((field) => !['concurrency', 'lease', 'rate_limit'].includes(field)),
  more: {
    n: 'false',
    handler: 'false',
    changes: 'false',
    was_pending: '0',
    was_held: '0',
    was_open: '0',
    was_state: 'false',
    suspect: 'false',
    blocked_until: 'false',
    blocked_by: 'false',
    failures: '0',
    open_until: 'false',
    cooldown: '0',
    failing_since: 'false',
    noticed: '0',
  },
}

/** Of a lane that is well nothing of this is kept. */
const ILLNESS = words('suspect blocked_until blocked_by failures open_until cooldown failing_since noticed')

const illnessLua = `
local function is_well(l)
  return not (l.suspect or l.blocked_until or l.open_until or l.failing_since) and l.failures == 0 and l.cooldown == 0
    and l.noticed == 0
end
local function read_illness(l)
  if l.rest ~= '' then ${ILLNESS.map((field) => `l.${field}`).join(', ')} = cmsgpack.unpack(l.rest) end
end
local function write_illness(l)
  l.rest = is_well(l) and '' or cmsgpack.pack(${ILLNESS.map((field) => `l.${field} or false`).join(', ')})
end
`

/** `rest` is JSON of the client's, which reads the row itself: see `eventOf`. */
const EVENT: HotRecord = {
  name: 'event',
  head: { at: 'I6', erased: 'flag', order: 'I6', routed: 'flag', kept: 'I4', not_before: 'd?' },
  tail: words('scope id type key subject correlation digest'),
  more: {},
}

/** `n` is its lane; `keyed`: it has a key; `oldest` is the time of the first row of its log; `last` the fence of the row
 *  that `rest` is, 0 for none. `place` is its member in a queue. */
const DELIVERY: HotRecord = {
  name: 'delivery',
  head: {
    n: 'text',
    event: 'text',
    status: ['pending', 'delivering', 'succeeded', 'dead', 'cancelled'],
    reason: ['exhausted', 'refused', 'gone', 'poison', 'expired', 'erased'],
    redriven: 'flag',
    waits: 'flag',
    keyed: 'flag',
    crashes: 'B',
    attempts: 'I4',
    spent: 'I4',
    fence: 'I6',
    last: 'I6',
    at: 'I6',
    due: 'd?',
    ends: 'd',
    finished: 'I6?',
    oldest: 'I6?',
  },
  tail: words('type endpoint place key'),
  more: { name: 'false', scope: 'false', id: 'false', told: 'false' },
}

/** `base` and `private` are JSON of the client's; an erasure takes the latter. */
const ATTEMPT_FIELDS = words('number at outcome base private')

/** `signature` is JSON of the client's: types and scope. */
const HANDLER_FIELDS = words('signature rules')

const REDRIVE_FIELDS = words('scope endpoint from to status per_second started moved done cursor')

/** All kinds of rows. */
export const recordsLua: string = [
  hotRecordLua(LANE),
  illnessLua,
  hotRecordLua(EVENT),
  hotRecordLua(DELIVERY),
  recordLua('attempt', ATTEMPT_FIELDS),
  recordLua('handler', HANDLER_FIELDS),
  recordLua('redrive', REDRIVE_FIELDS),
].join('')

/** A script that calls lanes `l`, deliveries `d` and events `e`, and their fields by name. */
export function rowScript(lua: string): Script {
  return defineScript(numbered(lua, { l: hotFields(LANE), d: hotFields(DELIVERY), e: hotFields(EVENT) }))
}

/** The numbers of `packRules`, -1 for null, into the rules of a lane. */
export const rulesLua: string = `
local function set_rules(l, packed)
  if l.rules == packed then return end
  l.rules, l.tail = packed, false
  local next_rule = string.gmatch(packed, '%S+')
  ${RULE_FIELDS.map((field) => `l.${field} = tonumber(next_rule())`).join('\n  ')}
end
`
