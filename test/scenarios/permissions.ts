import {
  Injectable,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import {
  InvalidationPublisher,
  NearCacheFactory,
  type NearCache,
} from 'nestjs-cache-invalidation';

/** Your table of rights. */
export abstract class RightsTable {
  abstract find(userId: string): Promise<readonly string[]>;
  abstract delete(userId: string, right: string): Promise<void>;
}

@Injectable()
export class Permissions {
  private readonly rights: NearCache<readonly string[]>;

  constructor(
    caches: NearCacheFactory,
    private readonly publisher: InvalidationPublisher,
    private readonly table: RightsTable,
  ) {
    this.rights = caches.create('Permission', {
      maxStaleness: '2s',
      whenStale: 'bypass',
      isolate: 'freeze',
    });
  }

  async has(userId: string, right: string): Promise<boolean> {
    const rights = await this.rights.get(userId, () => this.table.find(userId));
    return rights.includes(right);
  }

  /** @returns whether Redis has it: then every instance refuses within the bound */
  async revoke(userId: string, right: string): Promise<boolean> {
    await this.table.delete(userId, right);
    const receipt = await this.publisher.invalidate('Permission', userId);
    return receipt.status === 'delivered';
  }
}

export const NeedsRight = Reflector.createDecorator<string>();

@Injectable()
export class RightsGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly permissions: Permissions,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const right = this.reflector.getAllAndOverride(NeedsRight, [
      context.getHandler(),
      context.getClass(),
    ]);
    if (right === undefined) return true;
    const { user } = context.switchToHttp().getRequest<{
      user?: { readonly id: string };
    }>();
    return user !== undefined && this.permissions.has(user.id, right);
  }
}
