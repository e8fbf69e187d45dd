import type { FetchHandler } from '@keelson/http'
import { build } from 'esbuild'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

type File = readonly [type: string, text: () => Promise<string>]

const FILES: Readonly<Record<string, File>> = {
  '/': ['text/html', () => readFile(new URL('./courier-page/index.html', import.meta.url), 'utf8')],
  '/page.js': ['text/javascript', once(() => bundleOf(new URL('./courier-page/page.ts', import.meta.url)))],
  '/worker.js': ['text/javascript', once(() => bundleOf(new URL('./courier-page/worker.ts', import.meta.url)))],
}

/** `/courier/`: the page on a courier's device. Its scripts are bundled when somebody asks for them. */
export const courierPage: FetchHandler = async (request) => {
  const [type, text] = FILES[new URL(request.url).pathname] ?? []
  if (type === undefined || text === undefined) return new Response('not found', { status: 404 })
  // The worker keeps a copy; a new version counts as soon as there is a network.
  const headers = { 'content-type': `${type}; charset=utf-8`, 'cache-control': 'no-cache' }
  return new Response(await text(), { headers })
}

async function bundleOf(entry: URL): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(entry)],
    bundle: true,
    write: false,
    format: 'iife',
    platform: 'browser',
    target: 'es2024',
    conditions: ['@keelson/source'],
  })
  return outputFiles[0]!.text
}

/** What it answered the first time. */
function once<T>(fn: () => Promise<T>): () => Promise<T> {
  let first: Promise<T> | undefined
  return () => (first ??= fn())
}
