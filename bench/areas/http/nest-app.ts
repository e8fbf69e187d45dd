import 'reflect-metadata'
import type { Server } from 'node:net'
import { Idempotent, KeelsonModule } from '@keelson/nest'
import { Body, Controller, Module, Post } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { ExpressAdapter } from '@nestjs/platform-express'
import { FastifyAdapter } from '@nestjs/platform-fastify'
import { ANSWER, type Kind, type NestPlatform } from './kinds.ts'
import { openParts } from './parts.ts'

/** The same application and handler: bare, with the module, and with its rule. */
export function nestApp(platform: NestPlatform): (kind: Kind) => Promise<Server> {
  return async (kind) => {
    const { http } = await openParts(kind, undefined)
    class Payments {
      pay(body: { cents: number }): object {
        return { ...ANSWER, cents: body.cents }
      }
    }
    class Application {}
    // Decorators as functions: Node strips types only.
    const pay = [Payments.prototype, 'pay', Object.getOwnPropertyDescriptor(Payments.prototype, 'pay')!] as const
    Controller()(Payments)
    Body()(Payments.prototype, 'pay', 0)
    Post('pay')(...pay)
    if (kind === 'idempotent') Idempotent({ required: true })(...pay)
    const imports = kind === 'bare' ? [] : [KeelsonModule.forRoot({ http, problems: 'all' })]
    Module({ imports, controllers: [Payments] })(Application)

    const adapter = platform === 'Nest on Express' ? new ExpressAdapter() : new FastifyAdapter()
    const app = await NestFactory.create(Application, adapter, { logger: false })
    await app.listen(0, '127.0.0.1')
    return app.getHttpServer() as Server
  }
}
