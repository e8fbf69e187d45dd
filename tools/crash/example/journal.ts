import { existsSync, promises as fs, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { flight } from '../flight.ts'
import type { Counts, CrashScenario } from '../scenario.ts'

/** What the tool must find: `journal.ts?broken=two-files`. */
const broken = new URL(import.meta.url).searchParams.get('broken')

flight(fs, 'appendFile')

/** A store with room for one process: a file with a line for each write, and none twice. */
const scenario: CrashScenario = {
  exclusive: true,
  async open({ folder }) {
    const files = ['entries', broken === 'two-files' ? 'stamps' : 'entries'].map((name) => join(folder, name)) as [
      string,
      string,
    ]
    const lines = (file: string): string[] => (existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [])
    const known = new Set(lines(files[0]))
    return {
      async write(key) {
        if (!known.has(key)) for (const file of new Set(files)) await fs.appendFile(file, `${key}\n`)
        known.add(key)
        return key
      },
      async read(keys) {
        const [entries, stamps] = files.map(lines) as [string[], string[]]
        const times = (key: string, list: string[]): number => list.filter((line) => line === key).length
        return new Map<string, Counts>(
          keys.map((key) => [key, { entries: times(key, entries), stamps: times(key, stamps) }]),
        )
      },
      check: async () => (broken === 'total' ? 'a wrong total' : undefined),
    }
  },
}
export default scenario
