/** Counts a lot, for a test that watches what the collector has to do meanwhile. */
import { createMetrics } from '../src/index.ts'

const metrics = createMetrics('worker')
const counter = metrics.counter('calls', 'Calls.', ['store', 'outcome'])
const histogram = metrics.histogram('call', 'Time.', { unit: 'seconds', labels: ['store'] })
const gauge = metrics.gauge('open', 'Open.', ['store'])
const labels = ['a', 'b', 'c'].map((store) => ({ store, outcome: 'ok' }))

function count(times: number): void {
  for (let i = 0; i < times; i++) {
    const each = labels[i % labels.length]!
    counter.inc(each, 0.5)
    histogram.observe(0.003, each)
    gauge.add(0.5, each)
  }
}

count(100_000)
for (let round = 0; round < 5; round++) {
  console.log('begin')
  count(1_000_000)
}
console.log('end')
