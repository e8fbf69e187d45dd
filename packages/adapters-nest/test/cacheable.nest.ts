import { Injectable } from '@nestjs/common'
import { Cacheable } from '@keelson/nest'

@Injectable()
export class Prices {
  readonly asked: unknown[] = []

  @Cacheable({
    scope: 'public',
    ttl: '10m',
    tags: (value: { sku: string }, sku: unknown) => [`${value.sku === 'tea' ? 'tea' : 'other'} ${typeof sku}`],
  })
  async of(sku: string, ...more: unknown[]): Promise<{ sku: string }> {
    this.asked.push([sku, ...more])
    return { sku }
  }

  @Cacheable({
    scope: (tenant: string) => tenant,
    ttl: '10m',
    key: (_tenant: string, at: Date) => ['day', at.getDay()],
  })
  async at(tenant: string, at: Date): Promise<string> {
    this.asked.push([tenant, at.getDay()])
    return tenant
  }
}
