import { CacheStaleError } from 'nestjs-cache-invalidation';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { bindCache } from '../../lib/cache/binding/bind-cache.js';
import type { BindOptions } from '../../lib/cache/binding/bind.options.js';
import { NearCache, resolveNearCache } from '../../lib/cache/index.js';
import { StalenessBound } from '../../lib/cache/staleness-bound.js';
import type { CacheStalePolicy } from '../../lib/cache/staleness.options.js';
import { entity } from '../../lib/message/index.js';
import { InvalidationScope } from '../../lib/publisher/index.js';
import { ErrorReporter } from '../../lib/stream/index.js';
import { makeStream } from '../stream/setup.js';
import { deferred, HandSource } from './setup.js';

const BOUND = 2_000;

/** A cache with a bound and one without, of one instance. */
function makeCaches(whenStale: CacheStalePolicy = 'bypass') {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const source = new HandSource();
  const options = resolveNearCache<string>({ maxStaleness: BOUND, whenStale });
  const bound = new StalenessBound(source, options, 'Permission', 'Permission');
  const strict = new NearCache<string>('Permission', options, bound, null);
  const lax = new NearCache<string>(
    'Permission',
    resolveNearCache<string>({}),
    source,
    null,
  );
  return { source, strict, lax };
}

const loads = (value: string) => () => value;
const never = (): never => expect.unreachable();

describe('NearCache with maxStaleness', () => {
  it('has heartbeats quicken', () => {
    expect(makeCaches().source.bounds).toEqual([BOUND]);
  });

  it('alone loads each read from the bound on, and serves again with the next proof', async () => {
    const { source, strict, lax } = makeCaches();
    for (const cache of [strict, lax]) await cache.get(1, loads('first'));
    source.withoutProof = BOUND - 1;
    expect(await strict.get(1, never)).toBe('first');

    source.withoutProof = BOUND;
    expect(await strict.get(1, loads('second'))).toBe('second');
    expect(await strict.get(1, loads('third'))).toBe('third');
    const many = await strict.getMany([1], () => new Map([[1, 'fourth']]));
    expect([...many.values()]).toEqual(['fourth']);
    expect(strict.peek(1)).toBeUndefined();
    expect(await lax.get(1, never)).toBe('first');

    source.withoutProof = 0;
    expect(await strict.get(1, never)).toBe('first');
  });

  it('drops what was invalidated meanwhile, before it serves again', async () => {
    const { source, strict } = makeCaches();
    await strict.get(1, loads('old'));
    source.withoutProof = BOUND;
    strict.apply(source.hear(entity('Permission', 1)));
    source.withoutProof = 0;
    expect(await strict.get(1, loads('new'))).toBe('new');
  });

  it('shares a load of that time, until the load is as old as the bound', async () => {
    const { source, strict } = makeCaches();
    source.withoutProof = BOUND;
    const first = deferred<string>();
    const reads = [strict.get(1, () => first.promise), strict.get(1, never)];
    vi.advanceTimersByTime(BOUND - 1);
    reads.push(strict.get(1, never));
    vi.advanceTimersByTime(1);
    reads.push(strict.get(1, loads('later')));
    first.resolve('first');
    expect(await Promise.all(reads)).toEqual([
      'first',
      'first',
      'first',
      'later',
    ]);
  });

  it('joins no load from before, since a message about it may have been missed', async () => {
    const { source, strict } = makeCaches();
    const before = deferred<string>();
    const early = strict.get(1, () => before.promise);
    source.withoutProof = BOUND;
    expect(await strict.get(1, loads('now'))).toBe('now');
    before.resolve('before');
    expect(await early).toBe('before');
  });

  it('with "fail" rejects reads, and loads in a scope', async () => {
    const { source, strict, lax } = makeCaches('fail');
    await strict.get(1, loads('first'));
    source.withoutProof = BOUND + 0.5;
    const error = await strict.get(1, never).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(CacheStaleError);
    expect(error).toMatchObject({
      code: 'CACHE_INVALIDATION_STALE',
      cache: 'Permission',
      staleness: BOUND + 0.5,
      maxStaleness: BOUND,
      message:
        "For 2000 ms nothing has proved that this instance received every invalidation; Permission allows 2000 ms (option maxStaleness). Refuse the request, or read from the source; reads succeed again once Redis and all sources answer. With whenStale: 'bypass' they load instead.",
    });
    await expect(strict.getMany([1], never)).rejects.toThrow(CacheStaleError);
    expect(await lax.get(1, loads('other'))).toBe('other');
    const inScope = await InvalidationScope.run(() =>
      strict.get(1, loads('in the scope')),
    );
    expect(inScope).toBe('in the scope');
    source.withoutProof = 0;
    expect(await strict.get(1, never)).toBe('first');
  });
});

function bindMap(options: BindOptions) {
  const source = new HandSource();
  const { stream } = makeStream();
  const reporter = new ErrorReporter();
  const errors: Error[] = [];
  reporter.errors$.subscribe((error) => errors.push(error));
  const cache = new Map([['user:1', 1]]);
  const binding = bindCache(stream, source, reporter, cache, options);
  return { source, cache, binding, errors };
}

describe('A bound cache with maxStaleness', () => {
  it('is cleared whenever it may hold what is older, until the binding ends', () => {
    const { source, cache, binding } = bindMap({ maxStaleness: '2s' });
    expect(source.bounds).toEqual([BOUND]);
    source.onStale();
    expect(cache.size).toBe(0);
    cache.set('user:1', 2);
    source.onStale();
    expect(cache.size).toBe(0);
    binding();
    cache.set('user:1', 3);
    source.onStale();
    expect(cache.size).toBe(1);
  });

  it('says by the clock whether it may be read', () => {
    const { source, binding } = bindMap({ maxStaleness: BOUND });
    expect(binding.mayServe()).toBe(true);
    source.withoutProof = BOUND;
    expect(binding.mayServe()).toBe(false);
    source.withoutProof = 0;
    source.bypass = true;
    expect(binding.mayServe()).toBe(false);
  });

  it('with "fail" throws where it may not be read', () => {
    const { source, binding } = bindMap({
      maxStaleness: BOUND,
      whenStale: 'fail',
    });
    expect(binding.mayServe()).toBe(true);
    source.withoutProof = BOUND;
    expect(() => binding.mayServe()).toThrow(CacheStaleError);
  });

  it('without the option follows the bound of the module', () => {
    const { source, binding } = bindMap({});
    source.withoutProof = Infinity;
    expect(binding.mayServe()).toBe(true);
    source.bypass = true;
    expect(binding.mayServe()).toBe(false);
    expect(source.bounds).toEqual([]);
  });

  it('reports that it could not be cleared', async () => {
    const { source, cache, errors } = bindMap({ maxStaleness: BOUND });
    vi.spyOn(cache, 'clear').mockImplementation(() => {
      throw new Error('of the store');
    });
    source.onStale();
    await vi.waitFor(() =>
      expect(String(errors[0])).toContain(
        'could not be cleared, beyond its maxStaleness or at a new connection: of the store',
      ),
    );
  });
});
