import type { Framework } from '../control.ts'
import {
  ALERTS,
  CONFIGURATION,
  IDENTITIES_MADE,
  IDENTITIES_REMOVED,
  READINGS,
  REFUSALS,
  RIGHTS_CHANGED,
  SIGN_INS,
} from '../rules.ts'

/** AICPA, 2017 Trust Services Criteria (with revised points of focus, 2022). */
export const soc2: Framework = {
  name: 'SOC 2: 2017 Trust Services Criteria',
  controls: [
    {
      id: 'CC2.1',
      title: 'The entity obtains or generates and uses relevant, quality information',
      shows: 'The entries are as they were sealed: none was changed, removed or put in between.',
      limits: 'Not that what the application recorded was true, nor that it recorded everything.',
      evidence: { kind: 'log', of: 'integrity' },
    },
    {
      id: 'CC6.1',
      title: 'Logical access security software, infrastructure and architectures over protected information assets',
      shows: 'Sign-ins and sessions, and accesses that were refused.',
      limits: 'Not how the access is restricted: the configuration tells.',
      evidence: { kind: 'entries', any: [...SIGN_INS, { type: ['denied'] }] },
    },
    {
      id: 'CC6.2',
      title: 'Users are registered and authorized before credentials are issued, and credentials are removed',
      shows: 'Users, groups and roles that were made and removed, by whom and when.',
      limits: 'Not that each was authorized, nor that none is missing: a list of staff tells.',
      evidence: { kind: 'entries', any: [...IDENTITIES_MADE, ...IDENTITIES_REMOVED] },
    },
    {
      id: 'CC6.3',
      title: 'Access is authorized, modified or removed based on roles and responsibilities',
      shows: 'Changes of rights, by whom and when.',
      limits: 'Not that the rights are the least that is needed.',
      evidence: { kind: 'entries', any: RIGHTS_CHANGED },
    },
    {
      id: 'CC6.4',
      title: 'Physical access to facilities and protected information assets is restricted',
      shows: 'Nothing.',
      limits: 'Nothing physical is in this log.',
      evidence: { kind: 'beyond' },
    },
    {
      id: 'CC7.1',
      title: 'Detection and monitoring of changes to configurations that introduce vulnerabilities',
      shows: 'Changes of the configuration that the application recorded.',
      limits: 'Not what was changed around the application: its infrastructure has logs of its own.',
      evidence: { kind: 'entries', any: CONFIGURATION },
    },
    {
      id: 'CC7.2',
      title: 'System components are monitored for anomalies',
      shows: 'Sign-ins that failed, accesses that were refused, and alerts.',
      limits: 'Not that somebody looked at them.',
      evidence: { kind: 'entries', any: [...REFUSALS, ...ALERTS] },
    },
    {
      id: 'CC7.3',
      title: 'Security events are evaluated',
      shows: 'Who read or exported this log, and when.',
      limits: 'Not what they concluded; readings are recorded as far as "auditReads" says.',
      evidence: { kind: 'entries', any: READINGS },
    },
    {
      id: 'CC7.4',
      title: 'Response to identified security incidents',
      shows: 'Nothing.',
      limits: 'How an incident was answered stands in the records of the response.',
      evidence: { kind: 'beyond' },
    },
    {
      id: 'CC8.1',
      title: 'Changes to infrastructure, data, software and procedures are authorized, tested and implemented',
      shows: 'Changes of configuration and software that the application recorded, by whom and when.',
      limits: 'Not that they were designed, tested and approved.',
      evidence: { kind: 'entries', any: CONFIGURATION },
    },
    {
      id: 'C1.2',
      title: 'Confidential information is disposed of',
      shows: 'Persons whose values in this log were made unreadable, why and by whom.',
      limits: 'Not what was disposed of elsewhere.',
      evidence: { kind: 'entries', any: [{ action: ['audit.subject.erased'] }] },
    },
  ],
}
