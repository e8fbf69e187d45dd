import { Controller, Param, ParseIntPipe, Post, UnauthorizedException, UseGuards } from '@nestjs/common'
import type { CanActivate, ExecutionContext } from '@nestjs/common'
import { Audited } from '@keelson/nest'

/** The application's own. */
class Authenticated implements CanActivate {
  canActivate(host: ExecutionContext): boolean {
    const { headers } = host.switchToHttp().getRequest<{ headers: Record<string, string | undefined> }>()
    if (headers['authorization'] === undefined) throw new UnauthorizedException()
    return true
  }
}

@Controller('orders')
@UseGuards(Authenticated)
@Audited({ action: 'order.touch' })
export class Orders {
  @Post(':id')
  @Audited({ action: 'order.create' })
  create(@Param('id', ParseIntPipe) id: number): { id: number } {
    return { id }
  }
}
