import { createConnection, type ClientSession } from 'mongoose';
import {
  InvalidationPublisher,
  InvalidationScope,
} from 'nestjs-cache-invalidation';
import { settled } from 'nestjs-cache-invalidation/testing';
import { describe, expect, it } from 'vitest';
import { said } from '../support/app.js';
import { startApp } from '../testing/fakes/start-app.js';

/**
 * Mongoose itself, on a connection without a server, since no MongoDB is
 * available here: its sessions commit, abort and retry like those of the
 * driver.
 */
class FakeSession {
  readonly said: string[] = [];
  #failures: readonly Error[];

  constructor(failures: readonly Error[]) {
    this.#failures = failures;
  }

  startTransaction(): void {
    this.said.push('start');
  }

  async commitTransaction(): Promise<void> {
    this.said.push('commit');
  }

  async abortTransaction(): Promise<void> {
    this.said.push('abort');
  }

  async endSession(): Promise<void> {
    this.said.push('end');
  }

  /** Repeats the work while it fails transiently. */
  async withTransaction<T>(work: (session: this) => Promise<T>): Promise<T> {
    for (;;) {
      this.startTransaction();
      try {
        const result = await work(this);
        const [failure, ...later] = this.#failures;
        this.#failures = later;
        if (failure !== undefined) throw failure;
        await this.commitTransaction();
        return result;
      } catch (error) {
        await this.abortTransaction();
        if ((error as Error).message !== 'TransientTransactionError') {
          throw error;
        }
      }
    }
  }
}

async function start(...failures: string[]) {
  const { app, recorder } = await startApp();
  const publisher = app.get(InvalidationPublisher);
  const session = new FakeSession(failures.map((text) => new Error(text)));
  const connection = createConnection();
  connection.startSession = async () => session as unknown as ClientSession;
  return {
    connection,
    session,
    publish: (id: string) => publisher.invalidate('User', id),
    heard: async () => {
      await settled(app);
      return recorder.published.map(said);
    },
  };
}

describe('deferring sessions of Mongoose', () => {
  it('publishes a change after the COMMIT, once', async () => {
    const { connection, session, publish, heard } = await start();
    await InvalidationScope.run(() =>
      connection.transaction(async () => {
        expect(await publish('1')).toMatchObject({ status: 'deferred' });
        await publish('1');
        expect(await heard()).toEqual([]);
      }),
    );
    expect(session.said).toEqual(['start', 'commit', 'end']);
    expect(await heard()).toEqual(['User:1']);
  });

  it('publishes nothing after a rollback', async () => {
    const { connection, publish, heard } = await start('WriteConflict');
    const failing = InvalidationScope.run(() =>
      connection.transaction(() => publish('1')),
    );
    await expect(failing).rejects.toThrow('WriteConflict');
    expect(await heard()).toEqual([]);
  });

  it('publishes the changes of all tries once the last one has committed', async () => {
    const { connection, session, publish, heard } = await start(
      'TransientTransactionError',
    );
    let tries = 0;
    await InvalidationScope.run(() =>
      connection.transaction(() => publish(String(++tries))),
    );
    expect(session.said).toEqual(['start', 'abort', 'start', 'commit', 'end']);
    // The retry publishes messages of both tries, which costs only a miss.
    expect(await heard()).toEqual(['User:1', 'User:2']);
  });

  it('supports a session that is committed by hand', async () => {
    const { connection, publish, heard } = await start();
    await InvalidationScope.run(async () => {
      const session = await connection.startSession();
      session.startTransaction();
      await publish('1');
      expect(await heard()).toEqual([]);
      await session.commitTransaction();
      await session.endSession();
    });
    expect(await heard()).toEqual(['User:1']);
  });
});
