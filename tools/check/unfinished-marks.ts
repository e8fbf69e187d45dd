import type { TextFile } from './tracked-files.ts'

/** Written in two parts, so that this file does not find itself. */
const MARKS = [
  ['TO', 'DO'],
  ['FIX', 'ME'],
  ['XX', 'X'],
  ['HA', 'CK'],
  ['ts-', 'ignore'],
].map((parts) => parts.join(''))
const MARK = new RegExp(`\\b(${MARKS.join('|')})\\b`)
/** Also behind `.concurrent`, `.each` and the like. */
const NOT_RUN = /\.(skip|only|todo|skipIf|runIf|fails)\b *[(.]|\b[xf](it|describe)\(|\b(ctx|context|t)\.skip\(/

/** Lines that say that something is not done, or that a test does not run. */
export function unfinishedMarks(files: readonly TextFile[]): string[] {
  return files
    .filter(({ path }) => /^(packages|examples|tools|test|bench)\/.*\.([cm]?[jt]sx?|sql|sh)$/.test(path))
    .filter(({ path }) => !path.startsWith('tools/check/'))
    .flatMap(({ path, text }) => {
      const isTest = /(^|\/)test\//.test(path)
      return text
        .split('\n')
        .flatMap((line, i) =>
          MARK.test(line) || (isTest && NOT_RUN.test(line)) ? [`${path}:${i + 1}: ${line.trim()}`] : [],
        )
    })
}
