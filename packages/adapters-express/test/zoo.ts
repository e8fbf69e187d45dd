import { createReadStream } from 'node:fs'
import { PassThrough, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RequestHandler, Response } from 'express'
import { bytes, file, MAX_BYTES, type Animal } from '../../http/test/animal.ts'

const written = (res: Response, chunk: string | Buffer): Promise<void> =>
  new Promise((resolve, reject) => res.write(chunk, (error) => (error ? reject(error) : resolve())))

/** Express itself answers with the stack. */
const failure = (message: string, status: number): Error =>
  Object.assign(new Error(message), { status, stack: `Error: ${message}` })

/** Answers of ordinary handlers. */
export const zoo: readonly Animal<RequestHandler>[] = [
  { name: 'json', handler: (_req, res) => void res.status(201).json({ id: 7, name: 'Zoë' }), status: 201 },
  { name: 'send of a string', handler: (_req, res) => void res.send('<p>höhe</p>') },
  { name: 'send of a Buffer', handler: (_req, res) => void res.send(bytes(5_000)) },
  { name: 'end of a Uint8Array', handler: (_req, res) => void res.end(new Uint8Array([0, 255, 13, 10, 13, 10])) },
  { name: 'end with nothing', handler: (_req, res) => void res.end() },
  { name: "end with ''", handler: (_req, res) => void res.end('') },
  {
    name: 'end with a callback',
    handler: (_req, res) => void res.end(() => res.emit('ended')),
  },
  { name: 'sendStatus', handler: (_req, res) => void res.sendStatus(404), status: 404 },
  { name: 'a piped stream', handler: (_req, res) => void createReadStream(file, { highWaterMark: 4_096 }).pipe(res) },
  {
    name: 'a slow stream',
    async handler(_req, res) {
      const slow = new PassThrough()
      slow.pipe(res)
      for (const part of ['one', 'two', 'three']) {
        slow.write(part)
        await sleep(5)
      }
      slow.end()
    },
  },
  { name: 'pipeline', handler: (_req, res) => pipeline(Readable.from(['a', 'b', 'c']), res) },
  {
    name: 'write, write, end',
    handler(_req, res) {
      res.type('text/plain')
      res.write('one, ')
      res.write(Buffer.from('two, '))
      res.end('three')
    },
  },
  {
    name: 'write, end without a chunk',
    handler(_req, res) {
      res.write('all of it')
      res.end()
    },
  },
  {
    name: 'writes that wait for their callbacks',
    async handler(_req, res) {
      for (const part of ['one', 'two', 'three']) await written(res, part)
      await written(res, Buffer.from('four'))
      res.end()
    },
  },
  {
    name: 'a buffer that is filled again',
    async handler(_req, res) {
      const buffer = Buffer.alloc(4)
      for (const part of ['aaaa', 'bbbb', 'cccc']) {
        buffer.write(part)
        await written(res, buffer)
      }
      buffer.write('dddd')
      res.end()
    },
  },
  {
    name: 'empty writes',
    handler(_req, res) {
      res.set('Content-Length', '5')
      res.write('')
      res.write('hello')
      res.write('')
      setTimeout(() => res.end(), 10)
    },
  },
  {
    name: 'writeHead with an object',
    handler(_req, res) {
      res.set('X-Before', 'kept').set('X-Changed', 'before')
      res.writeHead(202, {
        'X-Changed': 'after',
        'X-Number': 7,
        'x-list': ['a', 'b'],
        'x-n': [1, 2] as never,
        'Content-Type': 'text/x',
      })
      res.end('head')
    },
    status: 202,
  },
  {
    name: 'writeHead with a flat array',
    handler(_req, res) {
      res.set('X-Changed', 'before')
      res.writeHead(200, ['X-Changed', 'after', 'X-Twice', '1', 'x-other', 'o', 'x-twice', '2'] as never)
      res.end('flat')
    },
  },
  {
    name: 'writeHead with a status message',
    handler(_req, res) {
      res.writeHead(299, 'Quite Fine', { 'X-Own': 'yes' })
      res.end('message')
    },
    status: 299,
  },
  {
    name: 'writeHead with a message and a flat array',
    handler(_req, res) {
      res.writeHead(299, 'Quite Fine', ['X-Own', 'yes'] as never)
      res.end()
    },
    status: 299,
  },
  {
    name: 'a statusMessage of its own',
    handler(_req, res) {
      res.statusMessage = 'Brewed'
      res.statusCode = 418
      res.end('short and stout')
    },
    status: 418,
  },
  {
    name: 'a status that comes too late',
    handler(_req, res) {
      res.statusCode = 202
      res.write('accepted')
      res.statusCode = 500
      res.statusMessage = 'Too Late'
      setTimeout(() => res.end(), 5)
    },
    status: 202,
  },
  {
    name: 'writeHead without a body',
    handler(_req, res) {
      res.writeHead(200, { 'Content-Length': 0 })
      res.flushHeaders()
      setTimeout(() => res.end(), 10)
    },
  },
  { name: '204', handler: (_req, res) => void res.status(204).send('ignored'), status: 204 },
  {
    name: '204 with writes',
    handler(_req, res) {
      res.statusCode = 204
      res.write('ignored')
      res.end('too')
    },
    status: 204,
  },
  {
    name: '304 of a fresh GET',
    method: 'GET',
    handler(req, res) {
      req.headers['if-none-match'] = '"v1"'
      res.set('ETag', '"v1"').json({ id: 7 })
    },
    status: 304,
  },
  {
    name: '304 with writes',
    handler(_req, res) {
      res.writeHead(304, { ETag: '"1"' })
      res.end('ignored')
    },
    status: 304,
  },
  { name: 'HEAD by Express', method: 'HEAD', handler: (_req, res) => void res.send('its length is told') },
  {
    name: 'HEAD with writes',
    method: 'HEAD',
    handler(_req, res) {
      for (let i = 0; i < 100; i++) res.write(bytes(10_000))
      res.end('more')
    },
  },
  { name: 'sendFile', handler: (_req, res) => res.sendFile(file, { lastModified: false }) },
  { name: 'redirect', handler: (_req, res) => res.redirect(303, '/orders/7'), status: 303 },
  {
    name: 'two cookies and links',
    handler(_req, res) {
      res.cookie('session', '1').cookie('theme', 'dark').append('Link', '</a>; rel=a').append('Link', '</b>; rel=b')
      res.vary('Accept').vary('Origin').json({})
    },
  },
  {
    name: 'strings in other encodings',
    handler(_req, res) {
      res.write('h\u00f6he', 'latin1')
      res.write('aGVsbG8=', 'base64')
      res.write('00ff10', 'hex', () => {})
      res.end('wörter', 'utf16le')
    },
  },
  {
    name: 'latin1 at the end',
    handler: (_req, res) => void res.type('text/plain; charset=latin1').end('h\u00f6he', 'latin1'),
  },
  {
    name: 'flushed headers',
    handler(_req, res) {
      res.type('text/plain').flushHeaders()
      setTimeout(() => res.end('later'), 10)
    },
  },
  {
    name: 'a corked answer',
    handler(_req, res) {
      res.cork()
      res.write('one')
      res.write('two')
      res.uncork()
      res.end('three')
    },
  },
  {
    name: 'trailers',
    handler(_req, res) {
      res.set('Trailer', 'X-Sum')
      res.write('body')
      res.addTrailers({ 'X-Sum': '7' })
      res.end()
    },
  },
  {
    name: 'early hints',
    handler(_req, res) {
      res.writeEarlyHints({ link: '</a.css>; rel=preload; as=style' })
      res.end('done')
    },
  },
  {
    name: 'length, then a late end',
    handler(_req, res) {
      res.set('Content-Length', '10').write('0123')
      res.write('456789')
      setTimeout(() => res.end(), 30)
    },
  },
  {
    name: 'json, and then end again',
    handler(_req, res) {
      res.json({ ended: 'once' })
      res.end()
    },
  },
  { name: 'the exact limit', handler: (_req, res) => void res.send(bytes(MAX_BYTES)) },
  {
    name: 'the exact limit in pieces',
    handler(_req, res) {
      res.write(bytes(MAX_BYTES - 1))
      res.end('x')
    },
  },
  { name: 'one byte over the limit', kind: 'part', handler: (_req, res) => void res.send(bytes(MAX_BYTES + 1)) },
  {
    name: 'over the limit in its end',
    kind: 'part',
    handler(_req, res) {
      res.write(bytes(MAX_BYTES))
      res.end('x')
    },
  },
  {
    name: 'two megabytes by a stream',
    kind: 'part',
    handler: (_req, res) => void Readable.from(Array.from({ length: 32 }, () => bytes(65_536))).pipe(res),
  },
  {
    name: 'two megabytes as fast as it may',
    kind: 'part',
    async handler(_req, res) {
      for (let i = 0; i < 100; i++) {
        if (!res.write(bytes(20_000))) await new Promise((resolve) => res.once('drain', resolve))
      }
      res.end('end')
    },
  },
  {
    name: 'two megabytes by callbacks',
    kind: 'part',
    async handler(_req, res) {
      for (let i = 0; i < 100; i++) await written(res, bytes(20_000))
      res.end()
    },
  },
  {
    name: 'server-sent events',
    kind: 'part',
    async handler(_req, res) {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' })
      res.flushHeaders()
      for (let i = 0; i < 3; i++) {
        await sleep(5)
        res.write(`data: ${i}\n\n`)
      }
      res.end()
    },
  },
  {
    name: 'server-sent events that wait for their callbacks',
    kind: 'part',
    async handler(_req, res) {
      res.type('text/event-stream').flushHeaders()
      for (let i = 0; i < 3; i++) await written(res, `data: ${i}\n\n`)
      res.end()
    },
  },
  {
    name: 'an upgrade',
    kind: 'part',
    handler(req, res) {
      res.on('finish', () => req.socket.end())
      res.writeHead(101, { Connection: 'Upgrade', Upgrade: 'parcel' }).end()
    },
    status: 101,
  },
  {
    name: 'events that never came',
    kind: 'part',
    handler(_req, res) {
      res.set('Content-Type', 'text/event-stream; charset=utf-8').flushHeaders()
      setTimeout(() => res.end(), 10)
    },
  },
  {
    name: 'thrown at once',
    handler() {
      throw failure('no tea', 418)
    },
    status: 418,
  },
  { name: 'given to next', handler: (_req, _res, next) => next(failure('boom', 500)), status: 500 },
  { name: 'no handler', handler: (_req, _res, next) => next(), status: 404 },
]
