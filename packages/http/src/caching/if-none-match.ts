/** RFC 9110, section 8.8.3, one or more of them with commas between; empty elements are allowed (5.6.1). */
const LIST =
  /^[\t ]*(?:,[\t ]*)*(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"(?:[\t ]*,[\t ]*(?:(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*")?)*[\t ]*$/
const TAG = /"[\x21\x23-\x7e\x80-\xff]*"/g

/**
 * Whether the client has this answer already: weak comparison (RFC 9110, section 13.1.2). A field that cannot be read
 * counts as absent.
 */
export function matches(ifNoneMatch: string | undefined, etag: string | undefined): boolean {
  if (ifNoneMatch === undefined || etag === undefined) return false
  if (ifNoneMatch.trim() === '*') return true
  return LIST.test(ifNoneMatch) && ifNoneMatch.match(TAG)!.includes(etag.replace(/^W\//, ''))
}
