import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import {
  BadRequestException,
  Body,
  Catch,
  Controller,
  Get,
  Header,
  HttpCode,
  Injectable,
  Param,
  ParseIntPipe,
  Post,
  Res,
  Scope,
  Sse,
  StreamableFile,
  UnauthorizedException,
  UseFilters,
  UseGuards,
  UseInterceptors,
  UsePipes,
  ValidationPipe,
  Version,
  type ArgumentsHost,
  type CallHandler,
  type CanActivate,
  type ExceptionFilter,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common'
import { IsInt } from 'class-validator'
import { concatWith, finalize, from, map, tap, type Observable } from 'rxjs'
import { created, problem, type Operation } from '@keelson/http'
import type { KeelsonContext, Tx as OpenTx } from '@keelson/kernel'
import { AllowIps, Ctx, Deprecated, Idempotent, Op, Policy, RawBody, Transactional, Tx } from '@keelson/nest'

/** What happened, in order. */
@Injectable()
export class Trace {
  readonly steps: string[] = []
}

@Injectable()
class Traced {
  readonly trace: Trace
  constructor(trace: Trace) {
    this.trace = trace
  }
}

export class NewOrder {
  @IsInt()
  cents!: number
}

@Injectable()
class Auth extends Traced implements CanActivate {
  canActivate(host: ExecutionContext): boolean {
    this.trace.steps.push('auth')
    if (host.switchToHttp().getRequest<{ headers: Record<string, string> }>().headers['x-user'] === undefined)
      throw new UnauthorizedException()
    return true
  }
}

@Controller('orders')
@UsePipes(new ValidationPipe())
export class Orders extends Traced {
  @Post()
  @Idempotent({ required: true })
  create(@Body() order: NewOrder): object {
    this.trace.steps.push(`create ${order.cents}`)
    if (order.cents === 13) throw new BadRequestException('unlucky')
    return { cents: order.cents }
  }

  @Post(':id/pay')
  @Idempotent()
  pay(@Param('id', ParseIntPipe) id: number): object {
    this.trace.steps.push(`pay ${id}`)
    return { paid: id }
  }

  @Post('guarded')
  @Idempotent()
  @UseGuards(Auth)
  guarded(): object {
    this.trace.steps.push('guarded')
    return {}
  }

  @Post('inside')
  @AllowIps('10.0.0.0/8')
  @UseGuards(Auth)
  inside(): void {}

  @Post('sold-out')
  soldOut(): never {
    throw problem(409, 'sold-out', { detail: 'none is left' })
  }

  @Post('bytes')
  @Idempotent()
  @HttpCode(202)
  @Header('X-Own', 'yes')
  bytes(@RawBody() bytes: Uint8Array, @Ctx() { tenant }: KeelsonContext, @Body() body: unknown): object {
    return { bytes: Buffer.from(bytes).toString(), tenant, body }
  }

  @Sse('events')
  @Idempotent()
  events(): Observable<object> {
    return from([{ data: 'one' }]).pipe(concatWith(from(heard.promise.then(() => ({ data: 'two' })))))
  }
}

/** Its client has the first event. */
export const heard = { promise: Promise.resolve() }

type OwnResponse = ServerResponse & { send(body: unknown): unknown; raw?: ServerResponse; hijack?(): unknown }

/** How a handler answers by itself, as both platforms have it. */
export const sends = {
  send: (res: OwnResponse): unknown => res.send({ sent: true }),
  'send, and a value': (res: OwnResponse): unknown => (res.send({ sent: true }), { fine: true }),
  'end of node:http': (res: OwnResponse): unknown => (res.raw ?? res).end('sent'),
  'head and stream': (res: OwnResponse): unknown => {
    const raw = res.raw ?? res
    raw.writeHead(201, { 'Content-Length': 4 })
    raw.flushHeaders()
    return pipeline(Readable.from(['se', 'nt']), raw)
  },
  hijack: (res: OwnResponse): unknown => {
    res.hijack?.()
    return void (res.raw ?? res).end('sent')
  },
  itself: (res: OwnResponse): unknown => res,
  'a timer': async (res: OwnResponse): Promise<unknown> => {
    await new Promise<void>((resolve) => setTimeout(() => (res.send({ sent: true }), resolve()), 1))
    return { fine: true }
  },
}

/** Its rows, effects and answer are one commit. */
@Controller('books')
@Idempotent()
@Policy({ deprecated: { since: '2026-01-01' } })
export class Books extends Traced {
  @Post()
  @Transactional()
  @UseInterceptors(
    new (class implements NestInterceptor {
      intercept(_: ExecutionContext, next: CallHandler): Observable<unknown> {
        return next.handle().pipe(map((value: object) => ({ ...value, mapped: true })))
      }
    })(),
  )
  async write(@Tx() tx: OpenTx, @Op() op: Operation, @Body() { sku }: { sku: string }): Promise<object> {
    this.trace.steps.push(`write ${op.op}`)
    const { rows } = await tx.query('insert into orders (sku) values ($1) returning id', [sku])
    if (sku === 'bad') throw new Error('bad')
    return { ...(rows[0] as object) }
  }

  @Post('created')
  @Transactional()
  @Deprecated({ since: '2026-02-02' })
  async created(@Tx() tx: OpenTx): Promise<unknown> {
    await tx.query("insert into orders (sku) values ('c')")
    return created({ ok: true })
  }

  @Post('sent/:how')
  @Transactional()
  async sent(
    @Tx() tx: OpenTx,
    @Param('how') how: keyof typeof sends,
    @Res({ passthrough: true }) res: OwnResponse,
  ): Promise<unknown> {
    this.trace.steps.push(`sent by ${how}`)
    await tx.query("insert into orders (sku) values ('s')")
    return sends[how](res)
  }

  @Post('plain')
  @Policy({ idempotent: undefined } as never)
  plain(): object {
    this.trace.steps.push('plain')
    return {}
  }
}

/** A new one for each request. */
@Controller({ path: 'scoped', scope: Scope.REQUEST })
export class Scoped extends Traced {
  @Post(':id')
  @Idempotent()
  one(@Param('id', ParseIntPipe) id: number): object {
    this.trace.steps.push(`scoped ${id}`)
    if (id === 13) throw new BadRequestException('unlucky')
    return { id }
  }
}

@Controller({ path: 'versions/:shop', version: '2' })
export class Versions {
  @Get(':id')
  @Policy({})
  two(): object {
    return { version: 2 }
  }

  @Get(':id')
  @Version('1')
  @Policy({})
  one(): object {
    return { version: 1 }
  }
}

class Base extends Traced {
  @Post()
  @Idempotent()
  inherited(): object {
    this.trace.steps.push(`inherited by ${this.constructor.name}`)
    return { by: this.constructor.name }
  }
}

@Controller('first')
export class First extends Base {}

/** Of a controller. */
@Controller('third')
@Deprecated({ since: '2026-03-03' })
export class Third extends First {}

@Controller('second')
@Idempotent({ required: true })
export class Second extends Base {
  @Post('own')
  own(): object {
    return {}
  }
}

/** Takes everything, as many applications do. */
@Catch()
export class CatchAll implements ExceptionFilter {
  readonly caught: unknown[]
  constructor(caught: unknown[]) {
    this.caught = caught
  }
  catch(error: unknown, host: ArgumentsHost): void {
    this.caught.push(error)
    const reply = host.switchToHttp().getResponse<{ status(n: number): { send(body: unknown): void } }>()
    reply.status(500).send({ caught: true })
  }
}

export const caughtByController: unknown[] = []

/** What node:http refuses as a header: a client may choose it. */
const REFUSED = 'attachment; filename="\u6587.txt"'

@Controller('files')
export class Files {
  @Post('thrown')
  thrown(@Res({ passthrough: true }) res: { header(name: string, value: string): unknown }): never {
    // Express refuses it at once, Fastify when it answers.
    try {
      res.header('content-disposition', REFUSED)
    } catch {}
    throw problem(404, 'no-such-file')
  }

  @Post('streamed')
  streamed(): StreamableFile {
    return new StreamableFile(Buffer.from('text'), { disposition: REFUSED })
  }
}

@Controller('caught')
@UseFilters(new CatchAll(caughtByController))
export class Caught {
  @Post()
  @Idempotent()
  answer(): object {
    return { fine: true }
  }
}

/** Tells what passes by it. */
export class Watching implements NestInterceptor {
  readonly seen: string[]
  constructor(seen: string[]) {
    this.seen = seen
  }
  intercept(_: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(
      tap({ next: () => this.seen.push('value'), error: (error: Error) => this.seen.push(error.constructor.name) }),
      finalize(() => this.seen.push('over')),
    )
  }
}

export class Refusing implements NestInterceptor {
  intercept(): never {
    throw new BadRequestException('not today')
  }
}
