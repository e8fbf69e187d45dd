/** What entries are shipped to, in a process of its own: an index with the answers of Elasticsearch 9, and an OTLP collector. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { serveParent } from '../../src/child.ts'
import { nowMs } from '../webhooks/now.ts'
import { isPoison, NUMBER } from './entry.ts'

/** What a SIEM does wrong. Lost acknowledgement: every third request is taken and not answered. */
export type SiemFault = 'down' | 'hang' | 'ackloss' | 'items429' | 'poison'

/** `settled`: waits for so many documents, or until none has come for a while. */
export type SiemQuestion =
  | { readonly kind: 'url' | 'forget' | 'numbers' }
  | { readonly kind: 'settled'; readonly count: number; readonly quietMs: number }
  | { readonly kind: 'fault'; readonly fault: SiemFault; readonly on: boolean }

/** How many documents came, and when the last one did, on the clock that all processes share. */
export interface Settled {
  readonly count: number
  readonly lastMs: number
}

const CREATED =
  '"_version":1,"result":"created","_shards":{"total":2,"successful":1,"failed":0},"_seq_no":1,"_primary_term":1,"status":201}}'

let ids = new Set<string>()
let numbers: number[] = []
let refusedOnce = new Set<number>()
let count = 0
let lastMs = 0
let made = 0
let requests = 0
let fault: SiemFault | undefined
let hung: ServerResponse[] = []

/** An item of the answer: as real ones are, or only its status where that is asked for. */
function itemOf(action: string, document: string, isBrief: boolean): { readonly text: string; readonly isOk: boolean } {
  const [[operation, meta]] = Object.entries(
    JSON.parse(action) as Record<string, { _index: string; _id?: string }>,
  ) as [[string, { _index: string; _id?: string }]]
  const _id = meta._id ?? `auto-${made++}`
  const failed = (status: number, type: string): { text: string; isOk: false } => {
    const error = { type, reason: `[${_id}]: as it was told` }
    return { text: JSON.stringify({ [operation]: { _index: meta._index, _id, status, error } }), isOk: false }
  }
  const n = fault === undefined ? -1 : Number(NUMBER.exec(document)?.[1])
  if (fault === 'poison' && isPoison(n)) return failed(400, 'document_parsing_exception')
  if (fault === 'items429' && n % 5 === 0 && !refusedOnce.has(n)) {
    refusedOnce.add(n)
    return failed(429, 'es_rejected_execution_exception')
  }
  if (operation === 'create' && ids.has(_id)) return failed(409, 'version_conflict_engine_exception')
  ids.add(_id)
  take(document)
  const text = isBrief
    ? `{"${operation}":{"status":201}}`
    : `{"${operation}":{"_index":"${meta._index}","_id":"${_id}",${CREATED}`
  return { text, isOk: true }
}

/** A copy has its number again. */
function take(document: string): void {
  count++
  lastMs = nowMs()
  if (keeps) numbers.push(Number(NUMBER.exec(document)?.[1]))
}
const keeps = process.argv[2] === 'keeps'

function bulk(body: string, url: string, response: ServerResponse): void {
  const isBrief = url.includes('filter_path')
  const items: string[] = []
  let errors = false
  for (let at = 0; at < body.length;) {
    const middle = body.indexOf('\n', at)
    const end = body.indexOf('\n', middle + 1)
    const { text, isOk } = itemOf(body.slice(at, middle), body.slice(middle + 1, end), isBrief)
    items.push(text)
    errors ||= !isOk
    at = end + 1
  }
  answer(response, 200, `{"errors":${errors}${isBrief ? '' : ',"took":1'},"items":[${items.join(',')}]}`)
}

/** Refuses a whole request with 429, and single records by a partial success: OTLP knows nothing else. */
function collect(body: string, response: ServerResponse): void {
  const { resourceLogs } = JSON.parse(body) as {
    resourceLogs: { scopeLogs: { logRecords: { body: { stringValue: string } }[] }[] }[]
  }
  const documents = resourceLogs.flatMap(({ scopeLogs }) => scopeLogs.flatMap(({ logRecords }) => logRecords))
  if (fault === 'items429' && requests % 2 === 0) return answer(response, 429, '{}')
  let rejectedLogRecords = 0
  for (const { body } of documents) {
    if (fault === 'poison' && isPoison(Number(NUMBER.exec(body.stringValue)?.[1]))) rejectedLogRecords++
    else take(body.stringValue)
  }
  answer(response, 200, JSON.stringify(rejectedLogRecords > 0 ? { partialSuccess: { rejectedLogRecords } } : {}))
}

function answer(response: ServerResponse, status: number, body: string): void {
  const headers = { 'content-type': 'application/json', 'x-elastic-product': 'Elasticsearch' }
  response.writeHead(status, headers).end(body)
}

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  if (fault === 'hang') return void hung.push(response)
  const url = request.url!
  const isBulk = url.startsWith('/_bulk')
  const body = Buffer.concat(chunks)
  if (isBulk || url === '/v1/logs') {
    requests++
    if (fault === 'ackloss' && requests % 3 === 0) response.end = () => response.destroy()
  }
  if (isBulk) bulk(body.toString('latin1'), url, response)
  else if (url === '/v1/logs') collect(body.toString(), response)
  else answer(response, 200, '{"status":"green","acknowledged":true,"version":{"number":"9.5.1"}}')
}

const server = createServer((request, response) => {
  handle(request, response).catch(() => response.destroy())
})
server.keepAliveTimeout = 60_000
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const { port } = server.address() as AddressInfo

async function setFault(name: SiemFault, on: boolean): Promise<void> {
  if (name === 'down') {
    if (on) {
      server.close()
      server.closeAllConnections()
    } else await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
    return
  }
  fault = on ? name : undefined
  // It is started again: nobody who asked it meanwhile hears anything.
  for (const response of hung) response.destroy()
  hung = []
}

/** A logger that still starts is given more time. */
async function settled(wanted: number, quietMs: number): Promise<Settled> {
  let seen = 0
  for (let sinceMs = nowMs(); count < wanted; await sleep(2)) {
    if (count !== seen) sinceMs = nowMs()
    seen = count
    if (nowMs() - sinceMs >= (count === 0 ? STARTING : 1) * quietMs) break
  }
  return { count, lastMs }
}
const STARTING = 10

serveParent<SiemQuestion>((question) => {
  switch (question.kind) {
    case 'url':
      return `http://127.0.0.1:${port}`
    case 'forget':
      ids = new Set()
      numbers = []
      refusedOnce = new Set()
      count = 0
      requests = 0
      return
    case 'numbers':
      return numbers
    case 'settled':
      return settled(question.count, question.quietMs)
    case 'fault':
      return setFault(question.fault, question.on)
  }
})
