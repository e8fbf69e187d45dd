/** An option of the command line. */
export interface Flag {
  /** What its value is called; a switch has none. */
  readonly value?: string
  /** It may be given several times. */
  readonly many?: true
  readonly what: string
}

/** All options of all commands, so that one name means one thing. */
export const FLAGS = {
  tiles: { value: 'DIR', what: 'a static tree, as exportTiles() writes it' },
  dir: { value: 'DIR', what: 'the folder of a fileStore' },
  'database-url': { value: 'URL', what: 'of a Postgres; by default what DATABASE_URL says' },
  schema: { value: 'NAME', what: "of the tables in Postgres; default 'keelson'" },
  log: { value: 'NAME', what: "default 'main'" },
  key: { value: 'VERIFIER', many: true, what: 'of the log, as keygen shows it' },
  against: { value: 'FILE', many: true, what: 'a checkpoint that was kept elsewhere' },
  save: { value: 'FILE', what: 'where the newest checkpoint is put when the log is in order, for --against' },
  pruned: { value: 'INDEX', what: 'entries of the tree below it may be missing: retention dropped them' },
  scope: { value: 'SCOPE', what: "the tenant, or '*' for all" },
  actor: { value: 'TYPE[:ID]', what: 'who did it' },
  action: { value: 'ACTION', what: "'user.update', or 'user.*'" },
  target: { value: 'TYPE[:ID]', what: 'whom or what it was done to' },
  outcome: { value: 'OUTCOME', what: 'success, failure or unknown' },
  from: { value: 'INSTANT', what: 'from then on: 2026-01-31, or 2026-01-31T12:00:00Z' },
  to: { value: 'INSTANT', what: 'before then' },
  order: { value: 'ORDER', what: 'desc, the newest first, or asc' },
  by: { value: 'TYPE:ID', what: 'who exports, for the entry that tells of it; by default your user of this system' },
  unrecorded: { what: 'without that entry: for a role that may only read' },
  sink: { value: 'NAME', what: 'only those of this sink' },
  all: { what: 'those of all sinks' },
  reason: { value: 'TEXT', what: 'why they are given up; it stands in the log' },
  out: { value: 'FILE', what: 'a new file for the signer, for you alone' },
  json: { what: 'for programs' },
  help: { what: 'this' },
} as const

/** The name of an option, without its dashes. */
export type FlagName = keyof typeof FLAGS

/** How an option is written: '--dir DIR'. */
export function written(name: FlagName): string {
  const flag: Flag = FLAGS[name]
  return flag.value === undefined ? `--${name}` : `--${name} ${flag.value}`
}
