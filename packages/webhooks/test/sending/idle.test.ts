import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { systemClock } from '@keelson/kernel'
import { expect, onTestFinished, test } from 'vitest'
import { checkNetwork } from '../../src/network-options.ts'
import { createConnections, type Connection } from '../../src/sending/connections.ts'
import { startReceiver } from '../../src/testing/index.ts'
import { localSender, post } from './send.ts'

test('a receiver that hangs up idle sockets at any moment costs no attempt', async () => {
  const bodies = new Map<string, number>()
  const server = createServer((socket) => {
    socket.on('error', () => {})
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString()
      const whole = /body-(\d+)-end$/.exec(text)
      if (whole === null) return
      bodies.set(whole[1]!, (bodies.get(whole[1]!) ?? 0) + 1)
      text = ''
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n')
      // Some with a goodbye, some without.
      const leave = whole[1]!.endsWith('7') ? () => socket.resetAndDestroy() : () => socket.end()
      const afterMs = Number(whole[1]) % 4
      if (afterMs === 0) setImmediate(leave)
      else setTimeout(leave, afterMs)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const sender = localSender()
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  for (let i = 0; i < 400; i++) {
    const result = await post(sender, url, { body: Buffer.from(`body-${i}-end`) })
    expect(result, `attempt ${i}`).toMatchObject({ outcome: 'success' })
    if (i % 3 > 0) await systemClock.sleep(i % 5)
  }
  expect([...bodies.keys()]).toHaveLength(400)
})

test('a server of Node that closes idle sockets', async () => {
  const receiver = await startReceiver({ keepAliveMs: 20 })
  onTestFinished(() => receiver.close())
  const sender = localSender()
  for (let i = 0; i < 40; i++) {
    expect(await post(sender, receiver.url)).toMatchObject({ outcome: 'success' })
    await systemClock.sleep(15 + (i % 10))
  }
})

test('origins that nobody uses are forgotten with their last socket', async () => {
  const receiver = await startReceiver({ host: '0.0.0.0' })
  onTestFinished(() => receiver.close())
  receiver.answer({ status: 200, body: 'x' })
  const connections = createConnections(checkNetwork('test', { allow: ['127.0.0.0/8'], httpsOnly: false }))
  onTestFinished(() => connections.close())
  const port = new URL(receiver.url).port
  const taken = await Promise.all(
    Array.from(
      { length: 200 },
      (_, i) => new Promise<Connection>((taker) => connections.take(`http://127.0.0.${i + 1}:${port}`, taker)),
    ),
  )
  expect(connections.size()).toEqual({ origins: 200, open: 200 })
  await Promise.all(
    taken.map(async (connection) => {
      const { body } = await connection.client.request({ method: 'POST', path: '/' })
      await body.dump()
      connections.giveBack(connection)
    }),
  )
  while (connections.size().origins > 0) await systemClock.sleep(20)
  expect(connections.size()).toEqual({ origins: 0, open: 0 })
})
