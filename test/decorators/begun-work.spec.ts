import { PassThrough, Readable } from 'node:stream';
import { Injectable, StreamableFile } from '@nestjs/common';
import {
  fromResult,
  InvalidatesCache,
  InvalidationPublisher,
  InvalidationScope,
} from 'nestjs-cache-invalidation';
import { settled } from 'nestjs-cache-invalidation/testing';
import { BehaviorSubject, concat, map, NEVER, of, type Observable } from 'rxjs';
import { describe, expect, it, vi } from 'vitest';
import { BegunWork, PublisherShutdown } from '../../lib/publisher/index.js';
import { said } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { startApp, type StartedApp } from '../testing/fakes/start-app.js';

const BROKEN = new Error('the disk is full');

@Injectable()
class Rows {
  readonly writes: string[] = [];
  finish: () => void = () => {};

  async *write(...ids: string[]): AsyncGenerator<string> {
    for (const id of ids) {
      if (id === 'broken') throw BROKEN;
      this.writes.push(id);
      yield id;
    }
  }

  @InvalidatesCache('User', (id: string) => id)
  iterable(id: string, ...more: string[]): AsyncGenerator<string> {
    return this.write(id, ...more);
  }

  @InvalidatesCache('User', fromResult((id: string) => id))
  byLast(...ids: string[]): AsyncGenerator<string> {
    return this.write(...ids);
  }

  @InvalidatesCache('User', (id: string) => id)
  list(id: string): Iterable<string> {
    return (function* () {
      yield id;
    })();
  }

  @InvalidatesCache('User', (id: string) => id)
  async promised(id: string): Promise<AsyncGenerator<string>> {
    return this.write(id, 'more');
  }

  @InvalidatesCache('User', (id: string) => id)
  stream(id: string, stream: Readable): Readable {
    void id;
    return stream;
  }

  @InvalidatesCache('User', (id: string) => id)
  async file(id: string, stream: Readable): Promise<StreamableFile> {
    void id;
    return new StreamableFile(stream);
  }

  @InvalidatesCache('User', (id: string) => id)
  web(id: string): ReadableStream<string> {
    return ReadableStream.from(this.write(id, 'more'));
  }

  /** Starts its work before the result is read. */
  @InvalidatesCache('User', (id: string) => id)
  cursor(id: string): AsyncIterable<string> & { readonly count: number } {
    const rows = this.write(id);
    return { count: 1, [Symbol.asyncIterator]: () => rows };
  }

  /** Returns an iterator as written by hand. */
  @InvalidatesCache('User', (id: string) => id)
  steps(id: string, end: Promise<IteratorResult<string>>) {
    void id;
    const iterator: AsyncIterableIterator<string> = {
      // oxlint-disable-next-line unicorn/no-thenable -- the subject of the test
      next: () => ({ then: end.then.bind(end) }) as never,
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }

  @InvalidatesCache('User', (id: string) => id)
  frozen(id: string): AsyncIterable<string> {
    const rows = this.write(id);
    return Object.freeze({ [Symbol.asyncIterator]: () => rows });
  }

  /**
   * Returns an iterator with a method that reads it, as newer versions of Node
   * have.
   */
  @InvalidatesCache('User', (id: string) => id)
  withHelper(id: string): Iterable<string> & { toArray(): string[] } {
    const rows = (function* () {
      yield id;
    })();
    return Object.assign(rows, {
      toArray(this: Iterable<string>) {
        return [...this];
      },
    });
  }

  /** Returns an object that only has the name of a generator. */
  @InvalidatesCache('User', (id: string) => id)
  named(id: string): object {
    return { id, [Symbol.toStringTag]: 'ReportGenerator' };
  }

  @InvalidatesCache('User', (id: string) => id)
  async slow(_id: string): Promise<void> {
    await new Promise<void>((resolve) => (this.finish = resolve));
  }

  @InvalidatesCache('User', (id: string) => id)
  values(id: string): Observable<string> {
    return concat(of(id), NEVER);
  }
}

/** Returns Observables of work that has begun, and continues without subscribers. */
@Injectable()
class Jobs {
  readonly state = new BehaviorSubject('begun');

  @InvalidatesCache('User', (id: string) => id)
  start(_id: string): BehaviorSubject<string> {
    return this.state;
  }
}

type Started = StartedApp & { rows: Rows; heard: () => string[] };

async function start(shutdownTimeout = 2_000): Promise<Started> {
  const started = await startApp({
    providers: [Rows],
    options: { shutdownTimeout },
  });
  return {
    ...started,
    rows: started.app.get(Rows),
    heard: () => started.recorder.published.map(said),
  };
}

async function read(rows: AsyncIterable<string>): Promise<string[]> {
  const all: string[] = [];
  for await (const row of rows) all.push(row);
  return all;
}

describe('A decorated method that returns a lazy result', () => {
  it('invalidates after the last row of an async iterable', async () => {
    const { rows, heard } = await start();
    const written = rows.iterable('1', '2');
    expect(Object.prototype.toString.call(written)).toBe(
      '[object AsyncGenerator]',
    );

    await written.next();
    expect(heard()).toEqual([]);

    expect(await read(written)).toEqual(['2']);
    expect(heard()).toEqual(['User:1']);
  });

  it('invalidates nothing if it is never read', async () => {
    const { rows, heard, app } = await start();

    await rows.iterable('1').return(undefined);

    await settled(app);
    expect(rows.writes).toEqual([]);
    expect(heard()).toEqual([]);
  });

  it('invalidates when its reader stops early', async () => {
    const { rows, heard } = await start();

    for await (const row of rows.byLast('1', '2')) {
      expect(row).toBe('1');
      break;
    }

    expect(heard()).toEqual(['User:1']);
  });

  it('invalidates nothing when it fails, and passes the error on', async () => {
    const { rows, heard, app } = await start();

    await expect(read(rows.iterable('1', 'broken'))).rejects.toBe(BROKEN);

    await settled(app);
    expect(heard()).toEqual([]);
  });

  it('invalidates after the last row of a generator', async () => {
    const { rows, heard, app } = await start();
    const list = rows.list('1');
    await settled(app);
    expect(heard()).toEqual([]);

    expect([...list]).toEqual(['1']);

    await settled(app);
    expect(heard()).toEqual(['User:1']);
  });

  it('invalidates immediately for a Subject, keeps its methods, and when a subscription ends', async () => {
    const { app, recorder } = await startApp({ providers: [Jobs] });
    const heard = (): string[] => recorder.published.map(said);
    const values: string[] = [];

    const state = app.get(Jobs).start('1');
    await settled(app);

    expect(heard()).toEqual(['User:1']);
    expect(state).toBeInstanceOf(BehaviorSubject);
    state.pipe(map((value) => `${value}!`)).subscribe((one) => {
      values.push(one);
    });
    state.next('more');
    expect(state.value).toBe('more');
    state.complete();
    await settled(app);
    expect(values).toEqual(['begun!', 'more!']);
    expect(heard()).toEqual(['User:1', 'User:1']);
  });

  it('invalidates once when steps of an iterator are requested concurrently', async () => {
    const { rows, heard, app } = await start();
    const work = app.get(BegunWork, { strict: false });
    const iterator = rows.iterable('1');

    await Promise.all([iterator.next(), iterator.next(), iterator.next()]);

    await settled(app);
    expect(heard()).toEqual(['User:1']);
    expect(work.count).toBe(0);
  });

  it('invalidates at the end of an iterator whose steps are thenables', async () => {
    const { rows, heard } = await start();
    const end = Promise.resolve({ done: true as const, value: undefined });

    expect(await read(rows.steps('1', end))).toEqual([]);

    expect(heard()).toEqual(['User:1', 'User:1']);
  });

  it('invalidates for a frozen iterable, which stays readable', async () => {
    const { rows, heard, app } = await start();

    expect(await read(rows.frozen('1'))).toEqual(['1']);

    await settled(app);
    expect(heard()).toEqual(['User:1']);
  });

  it('invalidates when an iterator helper has read the generator', async () => {
    const { rows, heard, app } = await start();

    expect(rows.withHelper('1').toArray()).toEqual(['1']);

    await settled(app);
    expect(heard()).toContain('User:1');
  });

  it('invalidates immediately for an object that only has the name of a generator', async () => {
    const { rows, heard, app } = await start();

    rows.named('1');

    await settled(app);
    expect(heard()).toEqual(['User:1']);
  });

  it('invalidates when a promised iterable resolves, and after its last row', async () => {
    const { rows, heard } = await start();
    const written = await rows.promised('1');
    expect(heard()).toEqual(['User:1']);

    await read(written);

    expect(heard()).toEqual(['User:1', 'User:1']);
  });

  it('invalidates when a stream has ended, and returns that stream itself', async () => {
    const { rows, heard, app } = await start();
    const stream = new PassThrough();
    expect(rows.stream('1', stream)).toBe(stream);
    stream.write('row');
    await settled(app);
    expect(heard()).toEqual([]);

    stream.resume().end();

    await eventually(() => expect(heard()).toEqual(['User:1']));
  });

  it('invalidates when a stream is destroyed, and not when it fails', async () => {
    const { rows, heard } = await start();

    rows
      .stream('failed', new PassThrough())
      .on('error', () => {})
      .destroy(BROKEN);
    rows.stream('gone', new PassThrough()).destroy();

    await eventually(() => expect(heard()).toEqual(['User:gone']));
  });

  it('invalidates when a promised StreamableFile resolves, and when it has been sent', async () => {
    const { rows, heard } = await start();
    const file = await rows.file('1', Readable.from(['a', 'b']));
    expect(heard()).toEqual(['User:1']);

    await read(file.getStream() as AsyncIterable<string>);

    await eventually(() => expect(heard()).toEqual(['User:1', 'User:1']));
  });

  it('invalidates when a web stream has ended', async () => {
    const { rows, heard, app } = await start();
    const stream = rows.web('1');
    expect(stream).toBeInstanceOf(ReadableStream);
    await settled(app);
    const before = heard().length;

    expect(await read(stream as AsyncIterable<string>)).toEqual(['1', 'more']);

    expect(heard().slice(before)).toEqual(['User:1']);
  });

  it('invalidates immediately and at the end for a cursor whose work may have begun', async () => {
    const { rows, heard, app } = await start();
    const cursor = rows.cursor('1');
    await settled(app);
    expect(heard()).toEqual(['User:1']);
    expect(cursor.count).toBe(1);

    expect(await read(cursor)).toEqual(['1']);

    expect(heard()).toEqual(['User:1', 'User:1']);
  });
});

describe('Shutdown during decorated calls', () => {
  it('waits for a decorated call and a scope in progress', async () => {
    const { app, rows, heard } = await start();
    const call = rows.slow('1');
    let commit: () => void = () => {};
    const scope = InvalidationScope.run(async () => {
      await app.get(InvalidationPublisher).invalidate('User', '2');
      await new Promise<void>((resolve) => (commit = resolve));
    });

    const stop = vi.spyOn(app.get(PublisherShutdown, { strict: false }), 'run');
    const closing = app.close();
    await eventually(() => expect(stop).toHaveBeenCalled());
    rows.finish();
    commit();
    await Promise.all([call, scope, closing]);

    expect(heard().toSorted()).toEqual(['User:1', 'User:2']);
  });

  it('logs the number of unfinished calls after shutdownTimeout, and publishes held messages', async () => {
    const { app, rows, heard, logs } = await start(40);
    const call = rows.slow('1');
    const values = rows.values('2').subscribe();
    let commit: () => void = () => {};
    const scope = InvalidationScope.run(async () => {
      await app.get(InvalidationPublisher).invalidate('Post', '3');
      await new Promise<void>((resolve) => (commit = resolve));
    });

    await app.close();

    expect(logs.of('error')).toEqual([
      expect.stringMatching(
        /\(40 ms\).*: 2 decorated calls \(User\), 1 scope\. .* is lost/,
      ),
    ]);
    expect(heard()).toEqual(['Post:3']);
    rows.finish();
    commit();
    values.unsubscribe();
    await Promise.all([call, scope]);
  });

  it('does not wait for the scope it is called in', async () => {
    const { app, logs } = await start();

    await InvalidationScope.run(() => app.close());

    expect(logs.of('error')).toEqual([]);
  });
});
