import { randomBytes } from 'node:crypto'

export const somePrefix = (): string => `cache_${randomBytes(6).toString('hex')}`
