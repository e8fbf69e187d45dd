import { createRequire } from 'node:module'
import express from 'express'

export * from '../../http/test/wire.ts'

type Framework = typeof express
const require = createRequire(import.meta.url)

export const frameworks: readonly { framework: string; express: Framework }[] = [
  { framework: 'Express 5', express },
  { framework: 'Express 4.18', express: require('express-4') as Framework },
]
