import type { Server, ServerResponse } from 'node:http'
import {
  Body,
  Controller,
  Get,
  Headers,
  Inject,
  Injectable,
  Module,
  Param,
  Post,
  Query,
  Res,
  UseGuards,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { drainServer } from '@keelson/http/node'
import type { Tx as OpenTx } from '@keelson/kernel'
import { KeelsonModule, mountApi, Policy, Transactional, Tx } from '@keelson/nest'
import type { Api } from './api.ts'
import { merchantOf, policies } from './http.ts'
import type { Routes, WebServer } from './web-server.ts'

const API = Symbol('api')

@Injectable()
class Authenticated implements CanActivate {
  canActivate(host: ExecutionContext): boolean {
    merchantOf(host.switchToHttp().getRequest<{ headers: Record<string, string> }>().headers['authorization'])
    return true
  }
}

@Controller('shipments')
@UseGuards(Authenticated)
class Shipments {
  @Inject(API) readonly api!: Api

  @Post()
  @Transactional()
  @Policy(policies.bookShipment)
  book(@Tx() tx: OpenTx, @Headers('authorization') who: string, @Body() body: unknown) {
    return this.api.book(tx, merchantOf(who), body)
  }

  @Get()
  @Policy(policies.listShipments)
  list(@Headers('authorization') who: string, @Query() query: object) {
    return this.api.list(merchantOf(who), query)
  }

  @Get(':id')
  find(@Headers('authorization') who: string, @Param('id') id: string) {
    return this.api.find(merchantOf(who), id)
  }
}

@Controller('quotes')
@UseGuards(Authenticated)
class Quotes {
  @Inject(API) readonly api!: Api

  @Get()
  async quote(@Query() query: object, @Res({ passthrough: true }) response: ServerResponse) {
    const { quote, headers } = await this.api.quote(query)
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    return quote
  }
}

/** The routes on Nest. */
export async function nestServer({ http, api, apis }: Routes): Promise<WebServer> {
  const keelson = KeelsonModule.forRoot({ http, problems: 'all' })
  @Module({ imports: [keelson], controllers: [Shipments, Quotes], providers: [{ provide: API, useValue: api }] })
  class Parcels {}

  const app = await NestFactory.create(Parcels, { logger: false, abortOnError: false })
  mountApi(app, '/health', apis.health)
  mountApi(app, '/ops/circuit-breaker', apis.breakers)
  mountApi(app, '/ops', apis.ops)
  const server = app.getHttpServer() as Server
  return {
    server,
    listen: async (port, host) => void (await app.listen(port, host)),
    ...drainServer(server),
  }
}
