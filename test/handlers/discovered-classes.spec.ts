import {
  Controller,
  Get,
  Injectable,
  Module,
  Query,
  Scope,
  UseFilters,
  UseGuards,
  UseInterceptors,
  UsePipes,
  type MiddlewareConsumer,
  type NestModule,
} from '@nestjs/common';
import { LazyModuleLoader } from '@nestjs/core';
import {
  entity,
  InvalidationPublisher,
  OnInvalidation,
} from 'nestjs-cache-invalidation';
import { EMPTY } from 'rxjs';
import { beforeEach, describe, expect, it } from 'vitest';
import { buildApp, startApp } from '../testing/fakes/start-app.js';

const heard: string[] = [];
beforeEach(() => void (heard.length = 0));

/** Keeps copies, and is a guard, an interceptor, a pipe, a filter and a middleware. */
abstract class Copies {
  @OnInvalidation()
  evict(): void {
    heard.push(this.constructor.name);
  }

  canActivate = (): boolean => true;
  intercept = () => EMPTY;
  transform = (value: unknown): unknown => value;
  catch = (): void => {};
  use = (_request: unknown, _response: unknown, next: () => void): void =>
    next();
}

describe('@OnInvalidation(): classes that are only referenced', () => {
  @Injectable()
  class Guard extends Copies {}
  @Injectable()
  class Interceptor extends Copies {}
  @Injectable()
  class Pipe extends Copies {}
  @Injectable()
  class Filter extends Copies {}
  @Injectable()
  class Middleware extends Copies {}
  class ByHand extends Copies {}
  @Injectable()
  class OfParameter extends Copies {}
  class OfParameterByHand extends Copies {}
  class Global extends Copies {}

  @UseGuards(Guard)
  @UsePipes(Pipe)
  @UseFilters(Filter)
  @Controller()
  class Pages {
    @Get()
    @UseInterceptors(Interceptor, new ByHand())
    read(
      @Query('page', OfParameter, new OfParameterByHand()) page: string,
    ): string {
      return page;
    }
  }

  it('are found in @UseGuards() and similar decorators, once each', async () => {
    const { broker } = await startApp({ controllers: [Pages] });

    broker.emit(entity('User', '1'));

    expect(heard.toSorted()).toEqual([
      'ByHand',
      'Filter',
      'Guard',
      'Interceptor',
      'OfParameter',
      'OfParameterByHand',
      'Pipe',
    ]);
  });

  it('are found in a middleware consumer and useGlobalInterceptors()', async () => {
    @Module({})
    class WithMiddleware implements NestModule {
      configure(consumer: MiddlewareConsumer): void {
        consumer.apply(Middleware).forRoutes('*path');
      }
    }
    const testing = await buildApp({ imports: [WithMiddleware] });
    const app = testing.createNestApplication();
    app.useGlobalInterceptors(new Global());
    await app.init();

    await app.get(InvalidationPublisher).invalidate('User', '1');

    expect(heard.toSorted()).toEqual(['Global', 'Middleware']);
    await app.close();
  });

  it('are found in a lazily loaded module, once', async () => {
    @Injectable()
    class Early extends Copies {}
    @Injectable()
    class Late extends Copies {}
    @Module({ providers: [Late] })
    class LateModule {}
    const { app, broker } = await startApp({ providers: [Early] });

    await app.get(LazyModuleLoader).load(() => LateModule);
    broker.emit(entity('User', '1'));

    expect(heard).toEqual(['Early', 'Late']);
  });

  it('are found under a symbol', async () => {
    const evict = Symbol('evict');
    class BySymbol {
      @OnInvalidation('User')
      [evict](): void {
        heard.push('BySymbol');
      }
    }
    const { broker } = await startApp({ providers: [BySymbol] });

    broker.emit(entity('User', '1'));
    broker.emit(entity('Post', '1'));

    expect(heard).toEqual(['BySymbol']);
  });
});

describe('@OnInvalidation(): methods that cannot be called', () => {
  it('are reported at startup when a subclass overrides the method', async () => {
    class Overriding extends Copies {
      override evict(): void {}
    }
    const { logs } = await startApp({ providers: [Overriding] });

    expect(logs.of('warn')).toEqual([
      expect.stringMatching(
        /^Overriding\.evict overrides a method under @OnInvalidation\(\)/,
      ),
    ]);
  });

  it('are reported with each reason of their class', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class ForRequests extends Copies {
      override evict(): void {}

      @OnInvalidation()
      other(): void {}
    }
    const { logs } = await startApp({ providers: [ForRequests] });

    expect(logs.of('warn')).toEqual([
      expect.stringMatching(/^ForRequests\.evict overrides /),
    ]);
    expect(logs.of('error')).toEqual([
      expect.stringMatching(/ForRequests\.other will never be called/),
    ]);
  });

  it.each<[string, object, unknown]>([
    ['a static method', class Statics {}, { value: () => {} }],
    ['a property', new (class Properties {})(), undefined],
    ['an accessor', new (class Accessors {})(), { get: () => 1 }],
  ])('are rejected on %s, by name', (_what, target, descriptor) => {
    const decorate = OnInvalidation('User') as (...args: unknown[]) => void;

    expect(() => decorate(target, 'evict', descriptor)).toThrow(
      /^(Statics|Properties|Accessors)\.evict is (static|not a method)/,
    );
  });
});
