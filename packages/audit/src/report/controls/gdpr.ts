import type { Framework } from '../control.ts'
import { ALERTS, IDENTITIES, REFUSALS, SIGN_INS } from '../rules.ts'

/** Regulation (EU) 2016/679. */
export const gdpr: Framework = {
  name: 'GDPR: Regulation (EU) 2016/679',
  controls: [
    {
      id: 'Art. 5(1)(e)',
      title: 'Storage limitation',
      shows: 'How far back the entries of this scope are kept, and how many were dropped.',
      limits: 'Not whether that is as long as the purposes need.',
      evidence: { kind: 'log', of: 'retention' },
    },
    {
      id: 'Art. 5(2)',
      title: 'Accountability',
      shows: 'What was done is on record, and the record is as it was sealed: others can check it.',
      limits: 'Not that what was done was lawful.',
      evidence: { kind: 'log', of: 'integrity' },
    },
    {
      id: 'Art. 15',
      title: 'Right of access by the data subject',
      shows: 'Exports of what this log has on a person, by whom and when.',
      limits: 'Not that the person got it, nor what other systems have.',
      evidence: { kind: 'entries', any: [{ action: ['audit.subject.exported'] }] },
    },
    {
      id: 'Art. 17',
      title: "Right to erasure ('right to be forgotten')",
      shows: 'Persons whose values in this log were made unreadable, by destroying their keys: why, and by whom.',
      limits: 'Not what was erased elsewhere: the application may record that itself.',
      evidence: { kind: 'entries', any: [{ action: ['audit.subject.erased'] }] },
    },
    {
      id: 'Art. 17(3)',
      title: 'Exceptions from erasure: legal claims and obligations',
      shows: 'Legal holds that were placed and released, and why.',
      limits: 'Not that the reasons are valid.',
      evidence: { kind: 'entries', any: [{ action: ['audit.hold.placed', 'audit.hold.released'] }] },
    },
    {
      id: 'Art. 30',
      title: 'Records of processing activities',
      shows: 'Nothing.',
      limits: 'Purposes, categories, recipients and time limits are not events; your register tells.',
      evidence: { kind: 'beyond' },
    },
    {
      id: 'Art. 32',
      title: 'Security of processing',
      shows: 'Sign-ins, refused accesses, and changes of users and rights.',
      limits: 'Not that the measures are appropriate to the risk.',
      evidence: { kind: 'entries', any: [...SIGN_INS, ...IDENTITIES, { type: ['denied'] }] },
    },
    {
      id: 'Art. 33(1)',
      title: 'Notification of a personal data breach to the supervisory authority within 72 hours',
      shows: 'Nothing.',
      limits: 'A notification leaves through another door; the correspondence tells.',
      evidence: { kind: 'beyond' },
    },
    {
      id: 'Art. 33(5)',
      title: 'Documentation of personal data breaches: the facts',
      shows: 'Alerts that the application recorded, sign-ins that failed and accesses that were refused.',
      limits: 'Not which of them was a breach, its effects, and what was done about it.',
      evidence: { kind: 'entries', any: [...ALERTS, ...REFUSALS] },
    },
  ],
}
