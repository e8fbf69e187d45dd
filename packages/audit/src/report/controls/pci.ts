import type { Framework } from '../control.ts'
import { EVERY_ENTRY, IDENTITIES, READINGS, REFUSALS } from '../rules.ts'

/** PCI Security Standards Council, June 2024: Requirement 10. */
export const pci: Framework = {
  name: 'PCI DSS v4.0.1: Requirement 10',
  controls: [
    {
      id: '10.2.1',
      title: 'Audit logs are enabled and active',
      shows: 'Entries of this range, the first and the last of them.',
      limits: 'Not of components that do not write to this log.',
      evidence: { kind: 'entries', any: EVERY_ENTRY },
    },
    {
      id: '10.2.1.1',
      title: 'Audit logs capture all individual user access to cardholder data',
      shows: 'Accesses to data; the targets tell which of them are of cardholder data.',
      limits: 'Not that every access is recorded.',
      evidence: { kind: 'entries', any: [{ type: ['access'] }] },
    },
    {
      id: '10.2.1.2',
      title: 'Audit logs capture all actions taken by any individual with administrative access',
      shows: 'Administrative actions, and all actions of actors with the role admin, administrator, root or superuser.',
      limits: 'Not actions of administrators whose roles have other names, and of those around the application.',
      evidence: {
        kind: 'entries',
        any: [{ type: ['admin'] }, { role: ['admin', 'administrator', 'root', 'superuser'] }],
      },
    },
    {
      id: '10.2.1.3',
      title: 'Audit logs capture all access to audit logs',
      shows: 'Who read or exported this log, as far as "auditReads" says: exports by default.',
      limits: 'Not who read its tables or files directly: the database and the system have logs of their own.',
      evidence: { kind: 'entries', any: READINGS },
    },
    {
      id: '10.2.1.4',
      title: 'Audit logs capture all invalid logical access attempts',
      shows: 'Sign-ins that failed and accesses that were refused.',
      limits: 'Not attempts that never came to the application.',
      evidence: { kind: 'entries', any: REFUSALS },
    },
    {
      id: '10.2.1.5',
      title: 'Audit logs capture all changes to identification and authentication credentials',
      shows: 'Users, groups and roles that were made, changed and removed.',
      limits: 'Not changes in a directory that the application only asks.',
      evidence: { kind: 'entries', any: IDENTITIES },
    },
    {
      id: '10.2.1.6',
      title:
        'Audit logs capture all initialization of new audit logs, and starting, stopping or pausing of existing ones',
      shows: 'Gaps: what the application tells of entries that it could not keep.',
      limits: 'A process that ends or starts writes no entry; silence is signed by heartbeats, of the scope keelson.',
      evidence: { kind: 'log', of: 'coverage' },
    },
    {
      id: '10.2.1.7',
      title: 'Audit logs capture all creation and deletion of system-level objects',
      shows: 'Databases, files, hosts and packages, and parts of the configuration, that were made and removed.',
      limits: 'Not what is made and removed around the application.',
      evidence: {
        kind: 'entries',
        any: [
          {
            category: ['configuration', 'database', 'file', 'host', 'package'],
            type: ['creation', 'deletion', 'installation'],
          },
        ],
      },
    },
    {
      id: '10.2.2',
      title: 'Audit logs record the details of each auditable event',
      shows:
        'Entries that have all six: user, type of event, date and time, success or failure, origin, and what was affected.',
      limits: 'The others have no origin (source.ip) or no target.',
      evidence: { kind: 'details' },
    },
    {
      id: '10.3.1',
      title: 'Read access to audit log files is limited to those with a job-related need',
      shows: 'Nothing.',
      limits: 'The rights on the database and its files tell.',
      evidence: { kind: 'beyond' },
    },
    {
      id: '10.3.2',
      title: 'Audit log files are protected to prevent modifications by individuals',
      shows: 'Nothing that was sealed was modified.',
      limits: 'Not who could: the rights on the database and its files tell.',
      evidence: { kind: 'log', of: 'integrity' },
    },
    {
      id: '10.3.3',
      title: 'Audit log files are promptly backed up to a central log server that is difficult to modify',
      shows: 'Nothing.',
      limits: 'How far each sink is, inspect() and the metrics tell, not the log.',
      evidence: { kind: 'beyond' },
    },
    {
      id: '10.3.4',
      title: 'Change-detection mechanisms ensure that existing log data cannot be changed without generating alerts',
      shows: 'The whole log was read and hashed again, and compared with what was signed.',
      limits: 'Not that this is done regularly, and that somebody is told: run keelson-audit verify on a schedule.',
      evidence: { kind: 'log', of: 'integrity' },
    },
    {
      id: '10.4.1',
      title: 'Audit logs are reviewed at least once daily',
      shows: 'Who read or exported this log, and when.',
      limits: 'Not reviews in a SIEM, and not what a reader looked for.',
      evidence: { kind: 'entries', any: READINGS },
    },
    {
      id: '10.5.1',
      title: 'Audit log history is retained for at least 12 months, the last three immediately available',
      shows: 'How far back the entries of this scope are kept; what is kept is available at once.',
      limits: 'Not what was never written.',
      evidence: { kind: 'log', of: 'retention' },
    },
    {
      id: '10.6.1',
      title: 'System clocks and time are synchronized',
      shows: 'Nothing.',
      limits: 'Entries have the time of the machine that made them; the order is that of sealing.',
      evidence: { kind: 'beyond' },
    },
    {
      id: '10.7.2',
      title: 'Failures of critical security control systems are detected, alerted and addressed',
      shows: 'Gaps: what the application tells of entries that it could not keep.',
      limits:
        'Alerts are made of metrics (keelson_audit_dropped_total, keelson_audit_seal_lag_seconds), not of the log.',
      evidence: { kind: 'log', of: 'coverage' },
    },
  ],
}
