import { systemClock, type Clock } from '@keelson/kernel'
import { onTestFinished } from 'vitest'
import { checkNetwork, type NetworkOptions } from '../../src/network-options.ts'
import { createSender, type Sender, type SendRequest, type SendResult } from '../../src/sending/sender.ts'

/** A sender that may dial this machine; closed with the test. Its attempts end by `clock`. */
export function localSender(network: NetworkOptions = {}, clock: Clock = systemClock): Sender {
  const options = { allow: ['127.0.0.0/8', '::1/128'], httpsOnly: false, ...network }
  const sender = createSender(checkNetwork('test', options), clock)
  onTestFinished(() => sender.close())
  return sender
}

/** One attempt with a small body. */
export function post(sender: Sender, url: string, more: Partial<SendRequest> = {}): Promise<SendResult> {
  return sender.send({
    url,
    headers: { 'content-type': 'application/json', 'webhook-id': 'msg_1' },
    body: Buffer.from('{"type":"test"}'),
    timeoutMs: 30_000,
    ...more,
  })
}

export function textOf(result: SendResult): string | undefined {
  return result.response === null ? undefined : Buffer.from(result.response).toString()
}
