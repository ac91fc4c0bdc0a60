import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  InvalidationConfigurationError,
  InvalidationRedisError,
  type CacheInvalidationError,
} from '../../lib/errors/index.js';
import { L2Commands } from '../../lib/cache/shared/l2-commands.js';
import { L2UnavailableError } from '../../lib/transport/index.js';
import { eventually } from '../support/eventually.js';
import { deferred, RecordingStore, turn } from './setup.js';

const clock = { now: 1_000_000 };
beforeEach(() => {
  clock.now += 1_000_000;
  vi.spyOn(performance, 'now').mockImplementation(() => clock.now);
});
afterEach(() => void vi.restoreAllMocks());

function makeCommands({
  timeout = 5,
  ready = Promise.resolve(),
}: { timeout?: number; ready?: Promise<void> } = {}) {
  const store = new RecordingStore();
  const reported: CacheInvalidationError[] = [];
  const commands = new L2Commands(
    'near:',
    store,
    timeout,
    () => ready,
    (error) => reported.push(error),
  );
  return { store, reported, commands };
}

/** A Redis that never answers a read. */
const silent = (): Promise<never> => new Promise(() => {});
const yes = Promise.resolve(true);
const bytes = Buffer.from('7-0\nva');

describe('L2Commands', () => {
  it('reads, stores and drops entries under its prefix', async () => {
    const { commands, store, reported } = makeCommands();
    void commands.put('user:1', '7-0', bytes, 1_000, yes);
    await eventually(() => expect(store.stored.get('near:user:1')).toBe(bytes));
    expect(await commands.get('user:1')).toBe(bytes);
    expect(await commands.get('user:2')).toBeNull();
    commands.drop('user:1', '8-0');
    await eventually(() => expect(store.stored.size).toBe(0));
    expect([commands.errors, reported]).toEqual([0, []]);
  });

  it('hands the ttl to the store', async () => {
    const { commands, store } = makeCommands();
    const put = vi.spyOn(store, 'put');
    void commands.put('user:1', '7-0', bytes, 1_234, yes);
    await eventually(() =>
      expect(put).toHaveBeenCalledWith('near:user:1', '7-0', bytes, 1_234),
    );
  });

  it('stores nothing at an offset that some message only claims', async () => {
    const { commands, store } = makeCommands();
    void commands.put('user:1', '7-0', bytes, 1_000, Promise.resolve(false));
    await turn();
    expect(store.calls).toEqual([]);
  });

  it('sends its first commands once it is ready', async () => {
    const ready = deferred<void>();
    const { commands, store } = makeCommands({
      timeout: 60_000,
      ready: ready.promise,
    });
    commands.drop('user:1', '8-0');
    void commands.put('user:2', '7-0', bytes, 1_000, yes);
    const reading = commands.get('user:1');
    await turn();
    expect(store.calls).toEqual([]);
    ready.resolve();
    expect(await reading).toBeNull();
    await eventually(() => expect(store.calls).toHaveLength(3));
  });

  it('sends its first commands after the timeout if it is not ready by then', async () => {
    const { commands, store } = makeCommands({ ready: silent() });
    expect(await commands.get('user:1')).toBeNull();
    expect(store.calls).toEqual(['get near:user:1']);
  });

  it('does not keep the process alive while it waits to be ready', () => {
    const timers = (): number =>
      process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout')
        .length;
    const before = timers();
    for (let at = 0; at < 20; at++) {
      const { commands } = makeCommands({ timeout: 1_000, ready: silent() });
      void commands.get('user:1');
    }
    expect(timers() - before).toBeLessThan(10);
  });

  it('skips Redis for a second after a read that it did not answer in time', async () => {
    const { commands, store, reported } = makeCommands();
    const get = vi.spyOn(store, 'get').mockImplementation(silent);
    expect(await commands.get('user:1')).toBeNull();
    expect(commands.errors).toBe(1);
    // The store reports that Redis is away.
    expect(reported).toEqual([]);
    get.mockRestore();
    clock.now += 999;
    expect(await commands.get('user:1')).toBeNull();
    expect(store.calls).toEqual([]);
    clock.now += 1;
    await commands.get('user:1');
    expect(store.calls).toEqual(['get near:user:1']);
  });

  it('asks again at once after a read that failed', async () => {
    const { commands, store } = makeCommands();
    const get = vi
      .spyOn(store, 'get')
      .mockRejectedValue(new Error('WRONGTYPE'));
    expect(await commands.get('user:1')).toBeNull();
    expect(await commands.get('user:1')).toBeNull();
    expect(get).toHaveBeenCalledTimes(2);
    expect(commands.errors).toBe(2);
  });

  it('counts all failures, and reports those that nobody else reports', async () => {
    const { commands, store, reported } = makeCommands();
    const wrong = new Error('WRONGTYPE');
    vi.spyOn(store, 'put').mockRejectedValue(wrong);
    vi.spyOn(store, 'drop').mockRejectedValue(wrong);
    void commands.put('user:1', '7-0', bytes, 1_000, yes);
    commands.drop('user:1', '8-0');
    await eventually(() => expect(commands.errors).toBe(2));
    for (const quiet of [
      new L2UnavailableError('away'),
      new InvalidationConfigurationError('class-transformer is missing'),
      new Error(
        "Stream isn't writeable and enableOfflineQueue options is false",
      ),
    ]) {
      commands.failed(quiet);
    }
    expect(commands.errors).toBe(5);
    expect(reported).toHaveLength(2);
    expect(reported[0]).toBeInstanceOf(InvalidationRedisError);
    expect(reported[0]!.message).toBe(
      'The shared tier of a near cache: WRONGTYPE. The value is loaded instead.',
    );
    expect(reported[0]!.cause).toBe(wrong);
  });

  it('takes 10,000 writes under way, and drops nothing beyond them until some have ended', async () => {
    const { commands, store } = makeCommands();
    await commands.get('user:1');
    const writes = Array.from({ length: 10_000 }, () => deferred<void>());
    for (const { promise } of writes.slice(1)) commands.track(promise);
    expect(commands.isFull).toBe(false);
    commands.track(writes[0]!.promise);
    expect(commands.isFull).toBe(true);
    commands.drop('user:1', '8-0');
    await turn();
    expect(store.of('drop')).toEqual([]);
    writes[0]!.reject(new L2UnavailableError('away'));
    await eventually(() => expect(commands.isFull).toBe(false));
    commands.drop('user:1', '8-0');
    expect(commands.isFull).toBe(true);
    await eventually(() => expect(commands.isFull).toBe(false));
    expect(store.of('drop')).toHaveLength(1);
    expect(commands.errors).toBe(1);
  });
});
