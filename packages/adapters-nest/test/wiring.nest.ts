import { Controller, Get, Head, Inject, Injectable, Module, Options, Post, Res } from '@nestjs/common'
import type { CachesLike, Http, IdempotencyLike } from '@keelson/http'
import type { DatabaseLike } from '@keelson/kernel/postgres'
import {
  Cached,
  Idempotent,
  KEELSON_AUDIT,
  KEELSON_CACHE,
  KEELSON_DB,
  KEELSON_HEALTH,
  KEELSON_HTTP,
  KEELSON_IDEMPOTENCY,
  KEELSON_WEBHOOKS,
  limiterToken,
  Pipeline,
  Policy,
  Transactional,
} from '@keelson/nest'

/** In a module that imports nothing: it has all by token. */
@Injectable()
export class Wired {
  readonly injected: Readonly<Record<string, unknown>>
  constructor(
    @Inject(KEELSON_HTTP) http: Http,
    @Inject(KEELSON_IDEMPOTENCY) idempotency: IdempotencyLike,
    @Inject(KEELSON_CACHE) cache: CachesLike,
    @Inject(KEELSON_AUDIT) audit: object,
    @Inject(KEELSON_DB) db: DatabaseLike,
    @Inject(KEELSON_WEBHOOKS) webhooks: object,
    @Inject(KEELSON_HEALTH) health: object,
    @Pipeline('stripe') stripe: object,
    @Inject(limiterToken<object>('writes')) writes: object,
  ) {
    this.injected = { http, idempotency, cache, audit, db, webhooks, health, stripe, writes }
  }
}

@Module({ providers: [Wired] })
export class WiredModule {}

@Injectable()
export class WithoutStripe {
  constructor(@Pipeline('paypal') paypal: object) {
    void paypal
  }
}

@Injectable()
export class Config {
  readonly tenant = 'm7'
}

@Module({ providers: [Config], exports: [Config] })
export class ConfigModule {}

@Controller('wrong')
export class WrongRule {
  @Post()
  @Policy({ idempotant: {} } as object)
  typo(): void {}
}

@Controller('wrong')
export class OwnResponse {
  @Post()
  @Transactional()
  answers(@Res() _res: unknown): void {}
}

@Controller('wrong')
export class HeadAlone {
  @Head('probe')
  @Policy({})
  probe(): void {}
}

@Controller('wrong')
@Policy({})
export class OptionsAlone {
  @Options('asked')
  asked(): void {}
}

@Controller('wrong')
export class CachedWrite {
  @Post()
  @Cached({ ttl: '1m', per: 'scope' })
  write(): void {}
}

@Controller('right')
export class PassedThrough {
  @Post()
  @Transactional()
  answers(@Res({ passthrough: true }) res: { header(name: string, value: string): void }): object {
    res.header('x-own', 'yes')
    return { fine: true }
  }
}

@Controller('echo')
export class Echo {
  @Post()
  @Idempotent()
  echo(): object {
    return { text: 'long '.repeat(1_000) }
  }

  @Get()
  plain(): object {
    return { plain: true }
  }
}
