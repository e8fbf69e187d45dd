import { once } from 'node:events'
import { request as requestHttp, type IncomingMessage } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { Socket } from 'node:net'
import { DialError, dialFailure } from './dial-error.ts'
import { within, type TimeLeft } from './time-left.ts'

/**
 * A connection through the egress proxy by CONNECT. 403 and 407 are its no: DialError of step 'denied'. Anything else but
 * 2xx, and a proxy that is not there, is one of step 'connect': that may pass.
 */
export async function openTunnel(proxy: URL, hostname: string, port: number, time: TimeLeft): Promise<Socket> {
  const path = `${hostname.includes(':') ? `[${hostname}]` : hostname}:${port}`
  const request = (proxy.protocol === 'https:' ? requestHttps : requestHttp)({
    host: proxy.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: proxy.port,
    method: 'CONNECT',
    path,
    headers: { host: path, ...credentials(proxy) },
    agent: false,
  })
  const answered = once(request, 'connect') as Promise<[IncomingMessage, Socket, Buffer]>
  request.end()
  const [{ statusCode = 0 }, socket, head] = await within(answered, time, () => request.destroy()).catch(
    (cause: unknown) => {
      throw new DialError('connect', `PROXY_${dialFailure('connect', cause).code}`, cause)
    },
  )
  socket.on('error', () => {})
  if (statusCode >= 200 && statusCode < 300) {
    if (head.length > 0) socket.unshift(head)
    return socket
  }
  socket.destroy()
  throw new DialError(statusCode === 403 || statusCode === 407 ? 'denied' : 'connect', `PROXY_${statusCode}`)
}

function credentials({ username, password }: URL): Record<string, string> {
  if (username === '' && password === '') return {}
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  return { 'proxy-authorization': `Basic ${Buffer.from(pair).toString('base64')}` }
}
