import { randomBytes } from 'node:crypto'
import { uuidv7 } from '@keelson/kernel'

/** They sort by the time at which they were made. */
const sortable = (prefix: string): string => `${prefix}_${uuidv7().replaceAll('-', '')}`

export const eventId = (): string => sortable('evt')
export const endpointId = (): string => sortable('ep')
export const deliveryId = (): string => sortable('dl')
export const redriveId = (): string => sortable('rd')
/** Unguessable, as all of it is told to strangers. */
export const keyId = (): string => `sk_${randomBytes(16).toString('hex')}`
