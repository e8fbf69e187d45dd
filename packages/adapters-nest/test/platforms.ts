import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { INestApplication, Type } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import version from '@nestjs/core/package.json' with { type: 'json' }
import { ExpressAdapter } from '@nestjs/platform-express'
import { FastifyAdapter } from '@nestjs/platform-fastify'

/** Nest's two platforms, of the version under test: see vitest.config.ts. */
export const platforms = [
  { platform: 'Express', adapter: () => new ExpressAdapter() },
  { platform: 'Fastify', adapter: () => new FastifyAdapter() },
] as const
export type Platform = { readonly platform: 'Express' | 'Fastify'; adapter(): ExpressAdapter | FastifyAdapter }

/** 'Nest 12' */
export const nest = `Nest ${version.version.split('.')[0]}`

export interface Running {
  readonly app: INestApplication
  readonly url: string
  readonly port: number
  close(): Promise<void>
}

/** An application of these modules; `prepare` is its main.ts. */
export async function start(
  { adapter }: Platform,
  module: Type,
  prepare: (app: INestApplication) => unknown = () => {},
): Promise<Running> {
  const app: INestApplication = await NestFactory.create(module, adapter() as never, {
    abortOnError: false,
    logger: false,
  })
  await prepare(app)
  await app.listen(0, '127.0.0.1')
  const server = app.getHttpServer() as Server
  if (!server.listening) await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    app,
    url: `http://127.0.0.1:${port}`,
    port,
    async close() {
      // HTTP/2 has none.
      ;(server as Partial<Server>).closeAllConnections?.()
      await app.close()
    },
  }
}
