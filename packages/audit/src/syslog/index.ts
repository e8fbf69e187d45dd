import { hostname } from 'node:os'
import type { ConnectionOptions } from 'node:tls'
import { ms, opt, type Duration } from '@keelson/kernel'
import { checkSinkOptions, type SinkOptions } from '../sinks/sink-options.ts'
import type { Sink } from '../sink.ts'
import { createConnection } from './connection.ts'
import { frameOf } from './frame.ts'

/** What `syslogSink` takes. */
export interface SyslogSinkOptions extends SinkOptions {
  readonly host: string
  /** Default 6514. */
  readonly port?: number
  /** Of `node:tls`: `ca`, `cert`, `key`, `servername`. The certificate is verified. False: plain TCP. */
  readonly tls?: ConnectionOptions | false
  /** 0 to 23; default 13, log audit. */
  readonly facility?: number
  /** APP-NAME; default 'keelson'. */
  readonly app?: string
  /** How long a connection must last behind an entry until that counts as delivered; default '5s'. */
  readonly settleAfter?: Duration
}

const SPEC = {
  host: opt.required(opt.custom<string>('a host', (given) => typeof given === 'string' && given !== '')),
  port: opt.integer(6_514, { min: 1, max: 65_535 }),
  tls: opt.custom<ConnectionOptions | false>(
    'an object of node:tls, or false',
    (given) => given === false || (typeof given === 'object' && given !== null),
    {},
  ),
  facility: opt.integer(13, { min: 0, max: 23 }),
  app: opt.string('keelson', { match: /^[!-~]{1,48}$/ }),
  settleAfter: opt.duration('5s', { max: '5m' }),
}

/**
 * Syslog (RFC 5424) over TLS (RFC 5425) with octet counting. The receiver acknowledges nothing: an entry counts as
 * delivered when the connection has lasted `settleAfter` behind it, and what was sent since goes again over the next
 * one. So there may be copies, with the same id, and never a loss.
 */
export function syslogSink(options: SyslogSinkOptions): Sink {
  const { base, own } = checkSinkOptions('syslogSink', 'syslog', options, SPEC)
  const { host, port, tls, facility, app } = own
  const connection = createConnection({ host, port, tls })
  const about = { facility, app, host: hostname().slice(0, 255) || '-', pid: String(process.pid) }

  return {
    ...base,
    ordered: true,
    settleAfterMs: ms(own.settleAfter),
    lost: connection.lost,
    async deliver({ log, entries }, signal) {
      await connection.write(Buffer.concat(entries.map((entry) => frameOf(log, entry, about))), signal)
      return entries.map(() => 'ok')
    },
    close: async () => connection.close(),
  }
}
