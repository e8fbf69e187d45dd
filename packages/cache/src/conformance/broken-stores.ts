import type { Subject } from '@keelson/kernel/conformance'
import { virtualClock } from '@keelson/kernel/testing'
import type { CacheStoreUnderTest } from './store-under-test.ts'
import { goodSteps as good, storeOfSteps, type Lock, type Steps } from './store-of-steps.ts'

/** What a driver's round trip is to everybody else: time to act. */
const roundTrip = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const asText = (bytes: Uint8Array): Uint8Array => Buffer.from(Buffer.from(bytes).toString('utf8'))
const body = (change: (bytes: Uint8Array) => Uint8Array): Partial<Steps> => ({
  store: (entry) => (entry.body === undefined ? entry : { ...entry, body: change(entry.body) }),
})
let countedEpochs = 0

/** Scopes are one where `as` makes them one: of tags, of keys, and of a purge. */
function collates(which: string, as: (text: string) => string): Record<string, Partial<Steps>> {
  return {
    [`tags of scopes ${which} are one`]: { tagOf: (scope, tag) => good.tagOf(as(scope), tag) },
    [`keys of scopes ${which} are one`]: { keyOf: (scope, key) => good.keyOf(as(scope), key) },
    [`scopes ${which} are purged as one`]: { sameScope: (scope, of) => as(scope) === as(of) },
  }
}

/** One wrong step each; the name says what is wrong. */
const wrongSteps: Record<string, Partial<Steps>> = {
  // The rule.
  'the stamp is taken after the load': { stampOf: (_, { clock }) => clock },
  'a fill compares nothing': {
    right: (state, nowMs) => ({ ...good.right(state, nowMs), stamp: Number.MAX_SAFE_INTEGER - 1 }),
    stampOf: (_, { clock }) => clock,
  },
  '< for <=': { moved: (tags, stamp, last) => tags.some((tag) => last(tag) >= stamp && last(tag) > 0) },
  'a stamp of the same moment is not newer': {
    moved: (tags, stamp, last) => tags.some((tag) => last(tag) > stamp + 1),
  },
  'the epoch is not looked at': { isEpoch: () => true },
  'an epoch that a node uses again': { newEpoch: (node) => `of ${node}` },
  'epochs are all the same': { newEpoch: () => 'epoch' },
  'the clock is the time': { tick: (_, nowMs) => Math.floor(nowMs * 1000) },
  'the clock goes back with the time': { tick: (clock, nowMs) => (nowMs < 0 ? Math.floor(nowMs * 1000) : clock + 1) },
  'the clock stands still': { tick: (clock) => Math.max(clock, 1) },
  'the floor is not raised': { floorOf: (before) => before },
  'the floor is lowered': { floorOf: (before, deleted) => Math.min(before, deleted) },
  'stamps are pruned at once': { prunesMs: () => -1, floorOf: (before) => before },
  'the floor is everything': { isFloored: (stamp, floor) => stamp <= floor && floor >= 0 },
  'only the first tag counts': { tagsOf: ({ tags }) => tags.slice(0, 1) },
  'only the last tag counts': { tagsOf: ({ tags }) => tags.slice(-1) },
  'no more than two tags count': { tagsOf: ({ tags }) => tags.slice(0, 2) },
  'explicit tags do not count': { tagsOf: ({ tags }) => tags.filter((tag) => tag.startsWith('\u0001')) },
  'implicit tags do not count': { tagsOf: ({ tags }) => tags.filter((tag) => !tag.startsWith('\u0001')) },
  'the tag of the scope does not count': { tagsOf: ({ tags }) => tags.filter((tag) => tag !== '\u0001a') },
  'prefixes do not count': { tagsOf: ({ tags }) => tags.filter((tag) => !tag.startsWith('\u0001p')) },
  'a bump marks its first tag only': { bumped: ({ tags }) => tags.slice(0, 1) },
  'a bump of keys is no bump': { bumped: ({ tags }) => tags.filter((tag) => !tag.startsWith('\u0001k')) },
  'tags in any case are one': { tagOf: (scope, tag) => good.tagOf(scope, tag.toLowerCase()) },
  'tags are trimmed': { tagOf: (scope, tag) => good.tagOf(scope, tag.trim()) },
  'tags end at a zero': { tagOf: (scope, tag) => good.tagOf(scope, tag.split('\u0000')[0]!) },
  'prefix matching user also for users': {
    moved: (tags, stamp, last) =>
      tags.some((tag) => last(tag) > stamp || (tag.startsWith('\u0001ps5:users') && last('\u0001ps4:user') > stamp)),
  },
  'tags of all scopes are one': { tagOf: (_, tag) => tag },
  ...collates('in any case', (text) => text.toLowerCase()),
  ...collates('with blanks behind', (text) => text.trimEnd()),
  ...collates('with any accent', (text) => text.normalize('NFD').replaceAll(/\p{M}/gu, '')),
  ...collates('in any normal form', (text) => text.normalize()),
  ...collates('that begin so', (text) => text.slice(0, 100)),
  'keys with blanks behind are one': { keyOf: (scope, key) => good.keyOf(scope, key.trimEnd()) },
  'keys of all scopes are one': { keyOf: (_, key) => key },
  'scope and tag have no border': { tagOf: (scope, tag) => scope + tag },
  'scope and key have no border': { keyOf: (scope, key) => scope + key },
  'names share a state': { nameOf: () => 'c' },
  'keys end at a zero': { keyOf: (scope, key) => good.keyOf(scope, key.split('\u0000')[0]!) },
  'keys are normalised': { keyOf: (scope, key) => good.keyOf(scope, key.normalize('NFC')) },
  'keys are cut at 256 bytes': { keyOf: (scope, key) => good.keyOf(scope, key.slice(0, 256)) },
  'keys are cut at 511 bytes': { keyOf: (scope, key) => good.keyOf(scope, key.slice(0, 511)) },
  'keys are latin1': { keyOf: (scope, key) => good.keyOf(scope, Buffer.from(key, 'latin1').toString('latin1')) },
  'an older load replaces a newer entry': { isNewer: () => false },
  'no load replaces what is there': { isNewer: () => true },
  'a load may take for ever': { isTooLate: () => false },
  'a load may take no time': { isTooLate: ({ atMs }, nowMs) => nowMs - atMs > 5 },
  'a bump of a put is forgotten': { putTags: () => [] },
  'a put marks all of its tags': { putTags: (ref, entry) => [...good.putTags(ref, entry), ...entry.tags] },
  'a put has the stamp of before': { putStamp: (stamp) => stamp - 1 },
  'a put has a stamp that nothing reaches': { putStamp: () => Number.MAX_SAFE_INTEGER },
  'an epoch clears nothing': { epochBump: (state) => state },
  'an epoch keeps its id': {
    epochBump: (state, ...o) => ({ ...good.epochBump(state, ...o), epoch: state.epoch }),
  },
  'the epoch is told as nothing': { epochTold: () => undefined },
  'the epoch is told when there is none': { epochTold: (state) => state?.epoch ?? 'none' },
  'the epoch that is told counts': { epochTold: () => String(++countedEpochs) },
  'fills read, then write': { gap: (method) => (method === 'fill' ? roundTrip() : undefined) },
  'bumps read, then write': { gap: (method) => (method === 'bump' ? roundTrip() : undefined) },
  'puts read, then write': { gap: (method) => (method === 'put' ? roundTrip() : undefined) },
  'locks are read, then written': { gap: (method) => (method === 'read' ? roundTrip() : undefined) },

  // Soft and hard, fresh and stale.
  'soft treated as hard': { isSoft: () => false },
  'hard treated as soft': { isSoft: () => true },
  'soft is nothing': { bumped: (one) => (one.soft === true ? [] : one.tags) },
  'soft knows no grace': { graceMs: (kept, soft) => (soft ? 0 : kept.entry.graceMs) },
  'soft knows only grace': { graceMs: (kept, soft) => (soft ? kept.entry.ttlMs : kept.entry.graceMs) },
  'grace is not kept': { graceMs: () => 0 },
  'everything has grace': { graceMs: ({ entry }) => Math.max(entry.graceMs, 60_000) },
  'grace never ends': { graceMs: ({ entry }) => (entry.graceMs > 0 ? Number.MAX_VALUE : 0) },
  'a ttl never passes': { isOver: () => false },
  'a ttl is in seconds': { isOver: ({ entry, storedMs }, nowMs) => storedMs + entry.ttlMs * 1000 <= nowMs },
  'a ttl is a tenth': { isOver: ({ entry, storedMs }, nowMs) => storedMs + entry.ttlMs / 1e6 <= nowMs },
  'a ttl counts from the last read': { touch: (kept, nowMs) => ({ ...kept, storedMs: nowMs }) },
  'ttl on the clock of the node': { nowMs: (clock) => clock.now() },
  'stale entries have time left': {
    tell: (stored, body) => good.tell({ ...stored, ttlMs: Math.max(1, stored.ttlMs) }, body),
  },
  'refresh is ignored': { refreshes: () => false },
  'every hit is refreshed': { refreshes: () => true },

  // What is told.
  'no age': { tell: (stored, body) => good.tell({ ...stored, ageMs: 0 }, body) },
  'an age in seconds': { tell: (stored, body) => good.tell({ ...stored, ageMs: stored.ageMs / 1000 }, body) },
  'a ttl that is told whole': {
    tell: (stored, body) => good.tell({ ...stored, ttlMs: stored.ttlMs + stored.ageMs }, body),
  },
  'the body is told unasked': { tell: (stored) => stored },
  'the body is never told': { tell: (stored) => good.tell(stored, false) },
  'no tags are told': { tell: (stored, body) => good.tell({ ...stored, tags: [] }, body) },
  'tags are told split at a bar': {
    tell: (stored, body) => good.tell({ ...stored, tags: stored.tags.flatMap((tag) => tag.split('|')) }, body),
  },
  'one codec for all': { tell: (stored, body) => good.tell({ ...stored, codec: 'json' }, body) },
  'codecs end at a plus': {
    tell: (stored, body) => good.tell({ ...stored, codec: stored.codec.split('+')[0]! }, body),
  },
  'no load time': { tell: (stored, body) => good.tell({ ...stored, loadMs: 0 }, body) },
  'the stamp is told as the version': { tell: (stored, body) => good.tell({ ...stored, fill: stored.stamp }, body) },
  'a fill writes the stamp of its end': { stampOf: ({ stamp }, { clock }) => Math.max(stamp, clock) + 1 },
  'stamps without their epoch': { stamped: (_, stamp) => String(stamp) },
  'stamps in base 36': { stamped: (epoch, stamp) => `${epoch}:${stamp.toString(36)}` },
  'bodies are UTF-8 text': body(asText),
  'bodies end at a zero': body((bytes) => (bytes.includes(0) ? bytes.subarray(0, bytes.indexOf(0)) : bytes)),
  'bodies end at a newline': body((bytes) => (bytes.includes(10) ? bytes.subarray(0, bytes.indexOf(10)) : bytes)),
  'bodies are cut at 64 kB': body((bytes) => bytes.subarray(0, 65_536)),
  'bodies are whole buffers': body((bytes) => new Uint8Array(bytes.buffer)),
  'bodies are plain arrays': body((bytes) => [...bytes] as never),
  'an empty body is none': { store: ({ body, ...rest }) => (body?.length === 0 ? rest : { ...rest, body: body! }) },

  // Locks.
  'everybody has the lock': { takesOver: () => true },
  'nobody has a lock': { takesOver: () => false, lockEndsMs: (nowMs) => nowMs },
  'a lock never ends': { takesOver: (lock, ...o) => good.takesOver({ ...lock, endsMs: Infinity }, ...o) },
  'a lock ends in seconds': { lockEndsMs: (nowMs, lockMs) => nowMs + lockMs * 1000 },
  'waiter ignores moved tags': {
    takesOver: (lock, state, ref, nowMs) => good.takesOver(lock, state, ref, nowMs, () => false),
  },
  'any bump frees a lock': {
    takesOver: (lock, state, ...o) => state.clock > lock.stamp || good.takesOver(lock, state, ...o),
  },
  'only the key frees a lock': {
    takesOver: (lock, state, ref, ...o) =>
      good.takesOver(lock, state, { ...ref, declared: ref.declared.slice(0, 1) }, ...o),
  },
  'the key frees no lock': {
    takesOver: (lock, state, ref, ...o) =>
      good.takesOver(lock, state, { ...ref, declared: ref.declared.slice(1) }, ...o),
  },
  'locks outlive their epoch': {
    takesOver: (lock, state, ...o) => good.takesOver({ ...lock, epoch: state.epoch }, state, ...o),
  },
  'locks of one name are one': {
    keyOf: (scope, key) => good.keyOf(scope, key === 's4:usern1:8' ? 's4:usern1:7' : key),
  },
  'unlock by anybody': {
    ownsLock: (lock, node, right, method) => method === 'unlock' || good.ownsLock(lock, node, right, method),
  },
  'unlock by any load of the node': owns('unlock', (lock, node) => lock.node === node),
  'unlock by any node of the moment': owns('unlock', (lock, _, stamp) => lock.stamp === stamp),
  'unlock does nothing': { releases: (method) => method !== 'unlock' },
  'fill by anybody releases': {
    ownsLock: (lock, node, right, method) => method === 'fill' || good.ownsLock(lock, node, right, method),
  },
  'fill by any node of the moment releases': owns('fill', (lock, _, stamp) => lock.stamp === stamp),
  'lock not released by a fill': { releases: (method) => method !== 'fill' },
  'lock not released by a refused fill': { releases: (method, stored) => method !== 'fill' || stored },
  'lock not released by a stored fill': { releases: (method, stored) => method !== 'fill' || !stored },
  'extend by anybody': {
    ownsLock: (lock, node, right, method) => method === 'extend' || good.ownsLock(lock, node, right, method),
  },
  'extend by any load of the node': owns('extend', (lock, node) => lock.node === node),
  'extend by any node of the moment': owns('extend', (lock, _, stamp) => lock.stamp === stamp),
  'extend does nothing': { extended: (lock) => lock },
  'extend makes a lock': {
    extended: (lock, nowMs, lockMs) => ({
      ...(lock ?? { node: 'n1', epoch: '', stamp: Infinity }),
      epoch: lock?.epoch ?? 'x',
      endsMs: nowMs + lockMs,
    }),
    takesOver: (lock, state, ref, nowMs, moved) =>
      good.takesOver(lock.epoch === 'x' ? { ...lock, epoch: state.epoch } : lock, state, ref, nowMs, moved),
  },
  'extend renews the first only': { extends: (held) => held.slice(0, 1) },
  'extend ends at the first that is lost': { extends: (held) => (held.length > 1 ? held.slice(0, 1) : held) },
  'a fill wakes nobody': { wakes: (method) => method !== 'fill' },
  'a refused fill wakes nobody': { wakes: (method, stored) => method !== 'fill' || stored },
  'an unlock wakes nobody': { wakes: (method) => method !== 'unlock' },

  // Purge.
  'purge deletes what is stale': { purges: (fate, ofScope) => ofScope || fate !== 'fresh' },
  'purge deletes everything': { purges: () => true },
  'purge deletes nothing': { purges: () => false },
  'purge of a scope deletes what is invalid only': { purges: (fate) => fate === 'gone' },
  'purge of a scope deletes all scopes': { sameScope: () => true },
  'purge of a scope deletes what begins so': { sameScope: (scope, of) => scope.startsWith(of) },
  'purge answers nothing': { purged: () => 0 },
  'purge answers one': { purged: (count) => Math.min(1, count) },

  // Members.
  'the author hears too': {
    hears: (node, message, by) => (message.kind === 'bump' ? true : good.hears(node, message, by)),
  },
  'the author alone hears': {
    hears: (node, message, by) => (message.kind === 'bump' ? node === by : good.hears(node, message, by)),
  },
  'nobody hears': { hears: (node, message, by) => message.kind !== 'bump' && good.hears(node, message, by) },
  'the author is a peer': { isPeer: () => true },
  'nobody is a peer': { isPeer: () => false },
  'strangers have no peers': { isPeer: (node, author) => node !== author && author !== 'stranger' },
  'a lease never ends': { leaseEndsMs: () => Number.MAX_SAFE_INTEGER },
  'a lease is told whole': { leaseLeftMs: (endsMs, nowMs) => (endsMs > nowMs ? 10_000 : 0) },
  'a lease is told in seconds': { leaseLeftMs: (endsMs, nowMs) => (endsMs - nowMs) / 1000 },
  'a lease is told twice as long': { leaseLeftMs: (endsMs, nowMs) => 2 * (endsMs - nowMs) },
  'joining is a lease': { joinsWithLease: true },
  'a renewal does not wait for messages': { renewsBehind: false },
  'a renewal tells the first epoch for ever': { renewTells: (_, first) => first },
  'registry marker missing': { marks: false },
  'the marker is written by whoever renews': { renewMarks: true },
  'nobody is ever unknown': { unknownMs: () => 0 },
  'somebody is always unknown': { unknownMs: () => 100 },
  'somebody is unknown for minutes': { unknownMs: (untilMs, nowMs) => (untilMs > nowMs ? 60_000 : 0) },
  'who has left is a peer still': { leaves: false },
  'a put is not told': { publishes: (method, ...o) => method !== 'put' && good.publishes(method, ...o) },
  'nothing is told without a known peer': { publishes: (_, peers) => peers > 0 },
  'nothing is told to a single peer': { publishes: (_, peers) => peers > 1 },
  'messages name no author': { message: (message) => ({ ...message, from: '' }) },
  'messages have another stamp': { message: (message) => ({ ...message, stamp: `${message.stamp}0` }) },
  'messages are cut to one scope': { message: (message) => ({ ...message, list: message.list.slice(0, 1) }) },
  'messages are all hard': {
    message: (message) => ({ ...message, list: message.list.map((one) => without(one, 'soft')) }),
  },
  'messages have no epoch': {
    message: (message) => ({ ...message, list: message.list.map((one) => without(one, 'epoch')) }),
  },
  'messages overtake each other': { next: (queue) => queue.pop()! },
  'every third message is lost': everyThirdIsLost(),
  'ack ignored': { ackTo: () => 'nobody' },
  'acks go to who sends them': { ackTo: (_, node) => node },
  'acks go to everybody': { hears: (node, message, by) => message.kind === 'ack' || good.hears(node, message, by) },
  'of the acks of a tick the first counts': { acked: (stamps) => stamps.slice(0, 1) },
  'an ack is one behind': {
    acked: (stamps) => stamps.slice(-1).map((stamp) => stamp.replace(/\d+$/, (n) => String(Number(n) - 1))),
  },
  'losing messages is not told': { tellsLost: false },
}

/** A lock that other loads than its own end or renew. */
function owns(
  which: 'fill' | 'unlock' | 'extend',
  wrong: (lock: Lock, node: string, stamp: number) => boolean,
): Partial<Steps> {
  return {
    ownsLock: (lock, node, right, method) =>
      method === which ? wrong(lock, node, right.stamp) : good.ownsLock(lock, node, right, method),
  }
}

function everyThirdIsLost(): Partial<Steps> {
  let count = 0
  return {
    hears: (node, message, by) => good.hears(node, message, by) && (message.kind !== 'bump' || ++count % 3 !== 0),
  }
}

/** A copy without this member. */
function without<T extends object>(of: T, name: keyof T): T {
  return Object.fromEntries(Object.entries(of).filter(([key]) => key !== name)) as T
}

/** Stores that are wrong in one way each, with a server of their own: what {@link cacheStoreSuite} must catch. */
export const brokenStores: Readonly<Record<string, Subject<CacheStoreUnderTest>>> = Object.fromEntries(
  Object.entries(wrongSteps).map(([name, wrong]) => [name, brokenStore(wrong)]),
)

function brokenStore(wrong: Partial<Steps>): Subject<CacheStoreUnderTest> {
  return {
    has: ['bodies', 'members', 'wakes', 'keeps', 'lose', 'cut', 'jump'],
    async make() {
      const clock = virtualClock()
      return {
        ...storeOfSteps({ ...good, ...wrong }, clock),
        async elapse(ms) {
          await clock.advance(ms)
          // The clock of this node goes the other way.
          clock.jumpWall(-2 * ms)
        },
        async dispose() {},
      }
    },
  }
}
