import type { Framework } from '../control.ts'
import {
  ALERTS,
  EVERY_ENTRY,
  IDENTITIES_MADE,
  IDENTITIES_REMOVED,
  READINGS,
  RIGHTS_CHANGED,
  SIGN_INS,
} from '../rules.ts'

/** 45 CFR Part 164, Subpart C. */
export const hipaa: Framework = {
  name: 'HIPAA Security Rule: 45 CFR Part 164, Subpart C',
  controls: [
    {
      id: '164.308(a)(1)(ii)(A)',
      title: 'Risk analysis',
      shows: 'Nothing.',
      limits: 'An assessment of risks is no event of an application.',
      evidence: { kind: 'beyond' },
    },
    {
      id: '164.308(a)(1)(ii)(D)',
      title: 'Information system activity review',
      shows: 'Who read or exported this log, and when.',
      limits: 'Not what they looked for; readings are recorded as far as "auditReads" says.',
      evidence: { kind: 'entries', any: READINGS },
    },
    {
      id: '164.308(a)(3)(ii)(C)',
      title: 'Termination procedures',
      shows: 'Users, groups and roles that were removed, by whom and when.',
      limits: 'Not that all were removed whose employment ended: a list of staff tells.',
      evidence: { kind: 'entries', any: IDENTITIES_REMOVED },
    },
    {
      id: '164.308(a)(4)(ii)(C)',
      title: 'Access establishment and modification',
      shows: 'Users, groups and roles that were made, and changes of rights, by whom and when.',
      limits: 'Not that they follow the policy of access.',
      evidence: { kind: 'entries', any: [...IDENTITIES_MADE, ...RIGHTS_CHANGED] },
    },
    {
      id: '164.308(a)(5)(ii)(C)',
      title: 'Log-in monitoring',
      shows: 'Log-ins and sessions, those that failed among them.',
      limits: 'Not that discrepancies were reported.',
      evidence: { kind: 'entries', any: SIGN_INS },
    },
    {
      id: '164.308(a)(6)(ii)',
      title: 'Response and reporting',
      shows: 'Alerts that the application recorded.',
      limits: 'Not how they were answered, and what came of them.',
      evidence: { kind: 'entries', any: ALERTS },
    },
    {
      id: '164.312(a)(2)(i)',
      title: 'Unique user identification',
      shows: 'Each entry names its actor by type and id.',
      limits: "Not that an id is one person's alone.",
      evidence: { kind: 'entries', any: EVERY_ENTRY },
    },
    {
      id: '164.312(a)(2)(iii)',
      title: 'Automatic logoff',
      shows: 'Nothing.',
      limits: 'The configuration of sessions tells.',
      evidence: { kind: 'beyond' },
    },
    {
      id: '164.312(b)',
      title: 'Audit controls',
      shows: 'Activity is recorded, and the record is as it was sealed.',
      limits: 'Not that all activity with electronic protected health information is recorded.',
      evidence: { kind: 'log', of: 'integrity' },
    },
    {
      id: '164.312(c)(2)',
      title: 'Mechanism to authenticate electronic protected health information',
      shows: 'Nothing.',
      limits: 'The tree authenticates this log, not the records of patients.',
      evidence: { kind: 'beyond' },
    },
    {
      id: '164.312(d)',
      title: 'Person or entity authentication',
      shows: 'Log-ins and sessions, and how they ended.',
      limits: 'Not how the application makes sure of who it is.',
      evidence: { kind: 'entries', any: SIGN_INS },
    },
    {
      id: '164.312(e)(1)',
      title: 'Transmission security',
      shows: 'Nothing.',
      limits: 'The configuration of networks and TLS tells.',
      evidence: { kind: 'beyond' },
    },
    {
      id: '164.316(b)(2)(i)',
      title: 'Time limit: documentation is retained for 6 years',
      shows: 'How far back the entries of this scope are kept.',
      limits: 'Whether a log is documentation under this rule is for you to say.',
      evidence: { kind: 'log', of: 'retention' },
    },
  ],
}
