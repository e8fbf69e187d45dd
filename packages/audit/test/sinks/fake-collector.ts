import { createServer as createTcp, type AddressInfo, type Server, type Socket } from 'node:net'
import { createServer as createTls } from 'node:tls'
import type { ArrivedEntry, SinkFault } from '../../src/conformance/index.ts'

/** A syslog server that keeps whole frames, over TLS if it has a certificate. */
export async function startCollector(pair?: { readonly key: string; readonly cert: string }) {
  const sockets = new Set<Socket>()
  const faults: SinkFault[] = []
  const messages: Buffer[] = []

  function take(socket: Socket): void {
    let rest: Buffer = Buffer.alloc(0)
    socket.on('error', () => {})
    socket.on('data', (data: Buffer) => {
      rest = Buffer.concat([rest, data])
      for (let frame = firstFrame(rest); frame !== undefined; frame = firstFrame(rest)) {
        messages.push(frame.message)
        rest = frame.rest
      }
    })
  }

  const inner: Server = pair === undefined ? createTcp(take) : createTls(pair, take)
  inner.on('tlsClientError', () => {})
  // In front of the handshake, where a connection fails.
  const server = createTcp({ pauseOnConnect: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => sockets.delete(socket))
    const fault = faults.shift()
    if (fault?.kind === 'hang') return
    if (fault?.kind === 'reset') return void socket.resetAndDestroy()
    inner.emit('connection', socket)
    socket.resume()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))

  return {
    port: (server.address() as AddressInfo).port,
    messages,
    arrived: async (): Promise<ArrivedEntry[]> => messages.map(openMessage),
    fail: (fault: SinkFault) => void faults.push(fault),
    cut() {
      for (const socket of sockets) socket.resetAndDestroy()
    },
    async dispose() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** RFC 5425, 4.3: a length in octets, a space, so many octets. */
function firstFrame(bytes: Buffer): { message: Buffer; rest: Buffer } | undefined {
  const space = bytes.indexOf(0x20)
  if (space === -1) return undefined
  const end = space + 1 + Number(bytes.subarray(0, space).toString())
  return bytes.length < end ? undefined : { message: bytes.subarray(space + 1, end), rest: bytes.subarray(end) }
}

const HEAD =
  /^<110>1 \d{4}-\d\d-\d\dT[\d:.]+Z \S+ keelson \d+ audit \[keelson@32473((?: \w+="(?:[^"\\\]]|\\["\\\]])*")+)\] /

/** RFC 5424: the parameters of the structured data, and MSG as it is. */
function openMessage(message: Buffer): ArrivedEntry {
  // Structured data is read as latin1, so that its length is one in octets.
  const [head, parameters] = HEAD.exec(message.toString('latin1')) ?? []
  if (head === undefined) throw new Error(`no RFC 5424: ${message.toString().slice(0, 300)}`)
  const told = Object.fromEntries(
    [...parameters!.matchAll(/ (\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, name, value]) => [
      name!,
      Buffer.from(value!.replaceAll(/\\(["\\\]])/g, '$1'), 'latin1').toString(),
    ]),
  )
  return {
    document: message.subarray(head.length),
    seal: { log: told['log']!, index: Number(told['index']), leaf: told['leaf']! },
  }
}
