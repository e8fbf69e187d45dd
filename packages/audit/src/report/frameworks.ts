import type { Framework } from './control.ts'
import { gdpr } from './controls/gdpr.ts'
import { hipaa } from './controls/hipaa.ts'
import { pci } from './controls/pci.ts'
import { soc2 } from './controls/soc2.ts'

/** By the names that users give. */
export const FRAMEWORKS: Readonly<Record<FrameworkName, Framework>> = { soc2, hipaa, gdpr, pci }

/** The name of a framework. */
export type FrameworkName = 'soc2' | 'hipaa' | 'gdpr' | 'pci'
