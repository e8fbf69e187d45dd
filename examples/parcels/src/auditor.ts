import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** Hashes of a tile, entries of a bundle. */
const WIDTH = 256

/** An auditor of the story: somebody who takes a copy of the log home (C2SP tlog-tiles), and believes nobody. */
export function auditor(url: string): {
  /** What `/audit` says to somebody; null for a refusal. */
  read(path: string, as?: string): Promise<Buffer | null>
  /** The tree of the newest checkpoint with its entries. Answers the checkpoint. */
  copyTo(folder: string): Promise<string>
} {
  async function read(path: string, as = 'a1'): Promise<Buffer | null> {
    const response = await fetch(`${url}/audit/${path}`, { headers: { authorization: `Bearer ${as}` } })
    const bytes = Buffer.from(await response.arrayBuffer())
    return response.ok ? bytes : null
  }

  return {
    read,
    async copyTo(folder) {
      const checkpoint = String(await read('checkpoint'))
      for (const path of pathsOf(Number(checkpoint.split('\n')[1]))) {
        const bytes = await read(path)
        if (bytes === null) throw new Error(`${path} is not to be had`)
        await mkdir(dirname(join(folder, path)), { recursive: true })
        await writeFile(join(folder, path), bytes)
      }
      await writeFile(join(folder, 'checkpoint'), checkpoint)
      return checkpoint
    },
  }
}

/** The files of a tree of so many entries. */
function* pathsOf(size: number): Generator<string> {
  for (let level = 0, rest = size; rest > 0; level++, rest = Math.floor(rest / WIDTH)) {
    for (let index = 0; index * WIDTH < rest; index++) {
      const width = Math.min(WIDTH, rest - index * WIDTH)
      const place = `${numberOf(index)}${width === WIDTH ? '' : `.p/${width}`}`
      yield `tile/${level}/${place}`
      if (level === 0) yield `tile/entries/${place}`
    }
  }
}

/** 1234067 is x001/x234/067. */
function numberOf(index: number): string {
  const digits = String(index)
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/\d{3}/g)!
  return groups.map((group, i) => (i === groups.length - 1 ? group : `x${group}`)).join('/')
}
