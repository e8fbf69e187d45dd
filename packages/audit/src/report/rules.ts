import type { Rule } from './rule.ts'

/*
 * Rules that several frameworks ask for. Names of an application's actions are not guessed from: only what the catalogue
 * says of them counts (ECS category and type), and what the log writes of itself.
 */

/** Everything. */
export const EVERY_ENTRY: readonly Rule[] = [{}]

/** Who reads or exports the log. */
export const READINGS: readonly Rule[] = [
  { action: ['audit.log.read', 'audit.log.exported', 'audit.subject.exported'] },
]

export const SIGN_INS: readonly Rule[] = [{ category: ['authentication', 'session'] }]

/** Those that came to nothing, and all that was refused. */
export const REFUSALS: readonly Rule[] = [
  { category: ['authentication', 'session'], outcome: 'failure' },
  { type: ['denied'] },
]

/** Users, groups and roles. */
export const IDENTITIES_MADE: readonly Rule[] = [{ category: ['iam'], type: ['creation'] }]
export const IDENTITIES_REMOVED: readonly Rule[] = [{ category: ['iam'], type: ['deletion'] }]
export const RIGHTS_CHANGED: readonly Rule[] = [{ category: ['iam'], type: ['change', 'admin'] }]
export const IDENTITIES: readonly Rule[] = [{ category: ['iam'] }]

/** What the application takes for a danger. */
export const ALERTS: readonly Rule[] = [{ category: ['intrusion_detection', 'malware', 'threat', 'vulnerability'] }]

export const CONFIGURATION: readonly Rule[] = [{ category: ['configuration', 'package'] }]
