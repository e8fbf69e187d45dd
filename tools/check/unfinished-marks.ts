import type { TextFile } from './tracked-files.ts'

/** Written in two parts, so that this file does not find itself. */
const MARKS = [
  ['TO', 'DO'],
  ['FIX', 'ME'],
  ['XX', 'X'],
  ['HA', 'CK'],
].map((parts) => parts.join(''))
const MARK = new RegExp(`\\b(${MARKS.join('|')})\\b|@ts-ignore|\\b(it|test|describe)\\.(skip|only|todo)\\b`)

/** Lines that say that something is not done, or that a test does not run. */
export function unfinishedMarks(files: readonly TextFile[]): string[] {
  return files
    .filter(
      ({ path }) =>
        /^(packages|examples|tools|test)\/.*\.[jt]s$/.test(path) && !path.includes('check/unfinished-marks'),
    )
    .flatMap(({ path, text }) =>
      text.split('\n').flatMap((line, i) => (MARK.test(line) ? [`${path}:${i + 1}: ${line.trim()}`] : [])),
    )
}
