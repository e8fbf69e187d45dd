/** One application in a process of its own: `app.ts FRAMEWORK KIND`, and DATABASE_URL for the kinds that write. */
import type { Framework, Kind } from './kinds.ts'
import { expressApp } from './express-app.ts'
import { fastifyApp } from './fastify-app.ts'
import { nestApp } from './nest-app.ts'
import { serveBench } from '../../src/serve-bench.ts'

const [framework, kind, databaseUrl] = process.argv.slice(2) as [Framework, Kind, string?]
const APPS = {
  Express: expressApp,
  Fastify: fastifyApp,
  'Nest on Express': nestApp('Nest on Express'),
  'Nest on Fastify': nestApp('Nest on Fastify'),
}
serveBench(await APPS[framework](kind, databaseUrl))
