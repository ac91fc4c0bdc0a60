import { Injectable } from '@nestjs/common';
import {
  affects,
  InjectInvalidationStream,
  InvalidatesCache,
  ofEntity,
  OnInvalidation,
  type InvalidationMessage,
} from 'nestjs-cache-invalidation';
import type { Observable } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { LogRecorder, said, startApp, type TestApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';

/** A cache as applications write one by hand. */
@Injectable()
class Cache {
  readonly entries = new Map<string, string>();

  @OnInvalidation()
  evict(message: InvalidationMessage): void {
    for (const key of this.entries.keys()) {
      if (affects(message, key)) this.entries.delete(key);
    }
  }

  fill(...keys: string[]): void {
    for (const key of keys) this.entries.set(key, 'cached');
  }

  get keys(): string[] {
    return [...this.entries.keys()];
  }
}

@Injectable()
class UsersService {
  @InvalidatesCache('User', (id: string) => id)
  async rename(id: string): Promise<string> {
    return `renamed ${id}`;
  }
}

async function startPair(): Promise<{
  writer: TestApp;
  reader: TestApp;
  cache: Cache;
}> {
  const writer = await startApp({ serviceName: 'writer' });
  const reader = await startApp({
    channel: writer.channel,
    serviceName: 'reader',
    providers: [Cache],
  });
  return { writer, reader, cache: reader.context.get(Cache) };
}

describe('Scenario: two services on one channel', () => {
  it('receive an entity', async () => {
    const { writer, reader, cache } = await startPair();
    cache.fill('user:1', 'user:2', 'user:12', 'post:1');

    const receipt = await writer.publisher.invalidateUser('1');

    expect(receipt).toMatchObject({ status: 'delivered', receivers: 2 });
    await eventually(() =>
      expect(cache.keys).toEqual(['user:2', 'user:12', 'post:1']),
    );
    expect(reader.messages).toMatchObject([
      {
        messageId: receipt.messageId,
        action: 'Delete',
        entityType: 'User',
        entityId: '1',
        sourceService: 'writer',
        own: false,
        widened: null,
      },
    ]);
  });

  it('receive a pattern', async () => {
    const { writer, cache } = await startPair();
    cache.fill('feed:42:1', 'feed:42:2', 'feed:421:1', 'user:42');

    await writer.publisher.invalidatePattern('feed:42:*');

    await eventually(() =>
      expect(cache.keys).toEqual(['feed:421:1', 'user:42']),
    );
  });

  it('receive a batch', async () => {
    const { writer, reader, cache } = await startPair();
    cache.fill('user:1', 'user:2', 'post:9', 'post:8');

    await writer.publisher.invalidateBatch(['user:1', 'post:9']);

    await eventually(() => expect(cache.keys).toEqual(['user:2', 'post:8']));
    expect(reader.messages).toHaveLength(1);
  });

  it('receive every built-in entity type, and a custom one', async () => {
    const { writer, cache } = await startPair();
    const keys = ['user', 'post', 'comment', 'notification', 'feed', 'session'];
    cache.fill(...keys.map((type) => `${type}:7`), 'user:8');

    const { publisher } = writer;
    await publisher.invalidateUser(7);
    await publisher.invalidatePost(7);
    await publisher.invalidateComment(7n);
    await publisher.invalidateNotification('7');
    await publisher.invalidateFeed('7');
    await publisher.invalidateCustom('session', '7');

    await eventually(() => expect(cache.keys).toEqual(['user:8']));
  });

  it('receive "everything"', async () => {
    const { writer, cache } = await startPair();
    cache.fill('user:1', 'anything at all');

    await writer.publisher.invalidateAll();

    await eventually(() => expect(cache.keys).toEqual([]));
  });

  it('receive an update with metadata', async () => {
    const { writer, reader } = await startPair();

    await writer.publisher.update('Post', 'p:1', {
      metadata: { reason: 'edited', tags: ['a', null, 1.5] },
    });

    await eventually(() =>
      expect(reader.messages).toMatchObject([
        {
          action: 'Update',
          entityType: 'Post',
          entityId: 'p:1',
          metadata: { reason: 'edited', tags: ['a', null, 1.5] },
        },
      ]),
    );
  });

  it('receive the message of a decorated method', async () => {
    const writer = await startApp({ providers: [UsersService] });
    const reader = await startApp({
      channel: writer.channel,
      providers: [Cache],
    });
    const cache = reader.context.get(Cache);
    cache.fill('user:1', 'user:2');

    expect(await writer.context.get(UsersService).rename('1')).toBe(
      'renamed 1',
    );

    await eventually(() => expect(cache.keys).toEqual(['user:2']));
  });
});

describe('Scenario: an application', () => {
  it('reads its own writes: its cache is evicted when the decorated method returns', async () => {
    const app = await startApp({ providers: [UsersService, Cache] });
    const cache = app.context.get(Cache);
    const users = app.context.get(UsersService);

    for (let round = 0; round < 50; round++) {
      cache.fill('user:1');
      await users.rename('1');
      expect(cache.keys).toEqual([]);
    }
  });

  it('receives its own message once, although Redis echoes it', async () => {
    const app = await startApp();
    const sibling = await startApp({ channel: app.channel });

    await app.publisher.invalidateUser('1');
    // The echo of the first message arrives before this one.
    await sibling.publisher.invalidateUser('2');
    await eventually(() => expect(app.messages.map(said)).toContain('User:2'));

    expect(app.messages).toMatchObject([
      { entityId: '1', own: true },
      { entityId: '2', own: false },
    ]);
  });

  it('continues after a handler that throws and one that rejects', async () => {
    const handled: string[] = [];
    @Injectable()
    class Fragile {
      @OnInvalidation()
      throws(message: InvalidationMessage): void {
        handled.push(`throws ${said(message)}`);
        throw new Error('broken at once');
      }

      @OnInvalidation()
      async rejects(message: InvalidationMessage): Promise<void> {
        handled.push(`rejects ${said(message)}`);
        throw new Error('broken later');
      }
    }
    const log = new LogRecorder();
    const writer = await startApp();
    const reader = await startApp({
      channel: writer.channel,
      providers: [Fragile, Cache],
      logger: log,
    });
    const cache = reader.context.get(Cache);
    cache.fill('user:1', 'user:2', 'user:3');

    await writer.publisher.invalidateUser('1');
    await writer.publisher.invalidateUser('2');

    await eventually(() => {
      expect(cache.keys).toEqual(['user:3']);
      expect(handled.toSorted()).toEqual([
        'rejects User:1',
        'rejects User:2',
        'throws User:1',
        'throws User:2',
      ]);
      expect(reader.stats.snapshot().handlerErrors).toBe(4);
    });
    expect(reader.subscriber.status.state).toBe('live');
    expect(reader.errors.map(({ code }) => code)).toEqual(
      Array.from({ length: 4 }, () => 'CACHE_INVALIDATION_HANDLER_FAILED'),
    );
    expect(log.errors.join()).toContain('Fragile.throws');
    expect(log.errors.join()).toContain('Fragile.rejects');
  });

  it('receives nothing of another channel', async () => {
    const here = await startApp({ serviceName: 'here' });
    const there = await startApp({ serviceName: 'there' });

    const receipt = await there.publisher.invalidateUser('1');
    await here.publisher.invalidateUser('2');
    await eventually(() => expect(here.messages).toHaveLength(1));

    expect(receipt.receivers).toBe(1);
    expect(here.messages.map(said)).toEqual(['User:2']);
    expect(there.messages.map(said)).toEqual(['User:1']);
  });

  it('injects the stream into its providers', async () => {
    @Injectable()
    class Feeds {
      readonly heard: string[] = [];

      constructor(
        @InjectInvalidationStream() all$: Observable<InvalidationMessage>,
      ) {
        all$
          .pipe(ofEntity('User', 'Feed'))
          .subscribe((message) => this.heard.push(said(message)));
      }
    }
    const writer = await startApp();
    const reader = await startApp({
      channel: writer.channel,
      providers: [Feeds],
    });

    await writer.publisher.invalidatePost('1');
    await writer.publisher.invalidateUser('2');
    await writer.publisher.invalidateBatch(['post:3', 'feed:3']);
    await writer.publisher.invalidatePattern('comment:*');
    await writer.publisher.invalidatePattern('fe*');

    await eventually(() =>
      expect(reader.context.get(Feeds).heard).toEqual([
        'User:2',
        'post:3,feed:3',
        'fe*',
      ]),
    );
  });

  it('publishes, receives and connects to nothing when disabled', async () => {
    const silent = await startApp({
      enabled: false,
      connection: 'redis://127.0.0.1:1',
      providers: [UsersService],
    });

    expect(await silent.publisher.invalidateUser('1')).toEqual({
      status: 'disabled',
      messageId: null,
      receivers: null,
      offset: null,
    });
    await silent.context.get(UsersService).rename('1');

    expect(silent.messages).toEqual([]);
    expect(silent.errors).toEqual([]);
    expect(silent.states).toEqual(['stopped']);
    expect(silent.subscriber.status).toMatchObject({ reason: 'disabled' });
  });
});
