import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { until } from '../../../../tools/servers/until.ts'
import { accountOf, quantile } from './account.ts'
import { startDurable } from './durable-server.ts'
import { startNode, STEADY, type DispatchNode } from './node.ts'
import { newPlace } from './place.ts'
import { startTally } from './tally.ts'
import { openSending, PATIENCE_MS, SLOW_MS } from './traffic.ts'

const LONG = process.env['LONG'] === '1'
const KILLS = LONG ? 100 : 10
const EVENTS = LONG ? 20_000 : 1_000
const NODES = 3
const PATHS = 24
const IN_FLIGHT = 8
/** Of one delivery, at most. */
const DEATHS = 3
/** By the store's clock, and far more than the lease of 6.5 s: the machine may stand still, but nothing waits for luck. */
const RECOVERED_MS = 60_000

test.each(['redis', 'postgres'] as const)(
  'processes that deliver are killed at random, on %s: nothing is lost, and only what was in flight comes twice',
  async (kind) => {
    await using server = await startDurable[kind]()
    const place = newPlace(kind, server.url)
    await using tally = await startTally([10, 60])
    await using sending = await openSending(place, { timeout: '6s' })
    await sending.endpoints(tally, PATHS)
    const nodes: DispatchNode[] = await Promise.all(Array.from({ length: NODES }, () => startNode(place, STEADY)))
    const killed = new Set<string>()
    try {
      const isOver = (): boolean => killed.size === KILLS && sending.acknowledged.size >= EVENTS
      // While the next process starts there is some work, not thousands of events.
      let starting = false
      let draining: Promise<void> | undefined
      const rest = async (): Promise<void> => {
        if (starting) await sleep(1_000)
        await draining
      }
      const flowing = sending.flow(tally, { lines: 2 * PATHS, paths: PATHS, more: () => !isOver(), rest })
      for (let i = 0; i < KILLS; i++) {
        await until('the share of events of this kill', PATIENCE_MS, async () =>
          tally.ids.size >= (i * EVENTS) / KILLS ? true : undefined,
        )
        const victim = await until('a process is in full work', PATIENCE_MS, async () =>
          nodes.filter(({ name }) => tally.openOf(name) >= IN_FLIGHT).at(i % 2 === 0 ? 0 : -1),
        )
        await sleep(Math.random() * 20)
        await victim.kill()
        killed.add(victim.name)
        starting = true
        nodes[nodes.indexOf(victim)] = await startNode(place, STEADY)
        starting = false
        // What dies five times in a row is poison: nobody is near whenever the others die.
        if (i % DEATHS === DEATHS - 1) {
          draining = sending.drained()
          await draining
          draining = undefined
        }
      }
      await flowing
      await sending.drained()
    } finally {
      await Promise.all(nodes.map((node) => node.kill()))
    }
    const { broken, duplicates, crashed, recoveriesMs } = await accountOf(sending, tally)
    const recovered = `p50 ${quantile(recoveriesMs, 0.5)} ms, longest ${quantile(recoveriesMs, 1)} ms`
    console.log(
      `${kind}: ${sending.acknowledged.size} events, ${killed.size} kills; ${crashed} attempts crashed, ${duplicates} requests twice; from claim to claim ${recovered}`,
    )
    expect(broken.slice(0, 20)).toEqual([])
    expect(crashed).toBeGreaterThanOrEqual(KILLS)
    expect(quantile(recoveriesMs, 1)).toBeLessThan(RECOVERED_MS)
    // Whoever had it before the others has died.
    const firsts = new Map<string, string>()
    for (const { id, by } of tally.receipts) {
      const before = firsts.get(id)
      if (before !== undefined && !killed.has(before)) expect.soft(`${id} came twice, first by ${before}`).toBe('once')
      firsts.set(id, by)
    }
  },
  LONG ? 3_600_000 : SLOW_MS,
)
