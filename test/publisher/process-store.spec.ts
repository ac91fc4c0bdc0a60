import { Logger } from '@nestjs/common';
import { InvalidationPublisher } from 'nestjs-cache-invalidation';
import { settled } from 'nestjs-cache-invalidation/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { registerCopy, VERSION } from '../../lib/publisher/process-store.js';
import { said } from '../support/app.js';
import { CapturingLogger } from '../testing/fakes/capturing.logger.js';
import { startApp } from '../testing/fakes/start-app.js';

describe('Two copies of the package in one process', () => {
  afterEach(() => vi.resetModules());

  it('share their scopes: one holds back messages of the other', async () => {
    const { app, recorder } = await startApp();
    const publisher = app.get(InvalidationPublisher);
    const own = await import('nestjs-cache-invalidation');
    vi.resetModules();
    const other = await import('nestjs-cache-invalidation');
    expect(other.InvalidationScope).not.toBe(own.InvalidationScope);

    await other.InvalidationScope.run(async () => {
      const receipt = await publisher.invalidate('User', 'committed');
      expect(receipt.status).toBe('deferred');
    });
    await other.InvalidationScope.run(async () => {
      await publisher.invalidate('User', 'rolled back');
      throw new Error('rolled back');
    }).catch(() => {});
    await settled(app);

    expect(recorder.published.map(said)).toEqual(['User:committed']);
  });

  it('log a warning if their versions differ', () => {
    const logs = new CapturingLogger();
    Logger.overrideLogger(logs);
    const store = { scopes: null, open: null, copies: new Map() };

    registerCopy(store, 'file:///one', () => '1.0.0');
    registerCopy(store, 'file:///two', () => '1.0.0');
    expect(logs.of('warn')).toEqual([]);
    registerCopy(store, 'file:///three', () => '1.1.0');

    expect(logs.of('warn')).toEqual([
      'This process has loaded nestjs-cache-invalidation in several versions (1.0.0, 1.1.0): decorators of one do not work with the module of the other. Let the package manager keep one copy (npm ls nestjs-cache-invalidation).',
    ]);
  });

  it('log nothing if there is only one', () => {
    const logs = new CapturingLogger();
    Logger.overrideLogger(logs);
    const store = { scopes: null, open: null, copies: new Map() };

    registerCopy(store, 'file:///one', () => '1.0.0');

    expect(logs.of('warn')).toEqual([]);
    expect(store.copies.size).toBe(1);
  });
});

it('the version constant matches package.json', async () => {
  const { readFileSync } = await import('node:fs');
  const manifest = new URL('../../package.json', import.meta.url);
  expect(JSON.parse(readFileSync(manifest, 'utf8'))).toMatchObject({
    version: VERSION,
  });
});
