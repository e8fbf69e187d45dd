import { build } from 'esbuild'

/**
 * A script for browsers of all that `entry` loads, its exports the global `name`. Rejects with what a browser has not:
 * a `node:` import has no file there.
 * @param conditions of the exports of packages; by default our own are taken from `src`
 */
export async function bundleForBrowser(
  entry: string,
  name: string,
  conditions: string[] = ['@keelson/source'],
): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: 'iife',
    globalName: name,
    platform: 'browser',
    target: 'es2024',
    conditions,
    logLevel: 'silent',
  })
  return outputFiles[0]!.text
}
