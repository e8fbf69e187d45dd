import type { Server, ServerResponse } from 'node:http'
import {
  Body,
  Controller,
  Delete,
  Get,
  Headers,
  Inject,
  Injectable,
  Ip,
  Module,
  Param,
  Patch,
  Post,
  Query,
  Res,
  UseGuards,
  type CanActivate,
  type ExecutionContext,
  type Type,
} from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { received, type RoutePolicy } from '@keelson/http'
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
  book(@Tx() tx: OpenTx, @Headers('authorization') who: string, @Body() body: unknown, @Ip() ip: string) {
    return this.api.book(tx, merchantOf(who), body, ip)
  }

  @Patch(':id')
  @Transactional()
  @Policy(policies.updateShipment)
  update(@Tx() tx: OpenTx, @Headers('authorization') who: string, @Param('id') id: string, @Body() body: unknown) {
    return this.api.update(tx, merchantOf(who), id, body)
  }

  @Delete(':id')
  @Transactional()
  @Policy(policies.cancelShipment)
  cancel(@Tx() tx: OpenTx, @Headers('authorization') who: string, @Param('id') id: string) {
    return this.api.cancel(tx, merchantOf(who), id)
  }

  @Get()
  @Policy(policies.listShipments)
  list(@Headers('authorization') who: string, @Query() query: object) {
    return this.api.list(merchantOf(who), query)
  }

  @Get(':id')
  @Policy(policies.findShipment)
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

/** A class for its policy, which is known when the environment is. */
function carrierEventsBy(policy: RoutePolicy): Type {
  @Controller('carrier-events')
  class CarrierEvents {
    @Inject(API) readonly api!: Api

    @Post()
    @Transactional()
    @Policy(policy)
    receive(@Tx() tx: OpenTx) {
      return this.api.carrierSays(tx, received()!.json())
    }
  }
  return CarrierEvents
}

/** The routes on Nest. */
export async function nestServer({ http, api, carrierPolicy, mounts }: Routes): Promise<WebServer> {
  const keelson = KeelsonModule.forRoot({ http, problems: 'all' })
  const controllers = [Shipments, Quotes, carrierEventsBy(carrierPolicy)]
  @Module({ imports: [keelson], controllers, providers: [{ provide: API, useValue: api }] })
  class Parcels {}

  const app = await NestFactory.create(Parcels, { logger: false, abortOnError: false })
  for (const [path, mounted] of mounts) mountApi(app, path, mounted)
  const server = app.getHttpServer() as Server
  return {
    server,
    listen: async (port, host) => void (await app.listen(port, host)),
    ...drainServer(server),
  }
}
