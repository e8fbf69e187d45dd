import { AuditError } from '../error.ts'
import { shown } from '../input.ts'
import { markdownOf } from './markdown.ts'
import type { ComplianceReport } from './report.ts'

/**
 * A report as text: for programs, or for people.
 * @throws AuditError INPUT_INVALID
 */
export function renderReport(report: ComplianceReport, format: 'json' | 'markdown'): string {
  switch (format) {
    case 'json':
      return `${JSON.stringify(report, null, 2)}\n`
    case 'markdown':
      return markdownOf(report)
    default:
      throw new AuditError('INPUT_INVALID', `renderReport: "format" must be json or markdown (got ${shown(format)})`)
  }
}
