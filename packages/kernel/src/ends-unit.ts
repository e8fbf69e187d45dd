/**
 * BEGIN, COMMIT and their kin would end or split a unit behind its back, also behind a comment. ROLLBACK TO SAVEPOINT
 * is the work's own.
 */
const ENDS_UNIT =
  /^(?:[\s;]|--[^\n]*(?:\n|$)|\/\*(?:[^*]|\*(?!\/))*\*\/)*(?:commit|end|abort|begin|start\s+transaction|prepare\s+transaction|rollback(?!\s+(?:work\s+|transaction\s+)?to\b))\b/i

/** True for a statement that would end the transaction that it is part of. What a text hides better, the mark of still-open.ts finds. */
export function endsUnit(text: string): boolean {
  return ENDS_UNIT.test(text)
}
