/**
 * One instance: a Nest application with the module, near caches of all rows that
 * are read all the time, and, if it is told to, a service that changes rows. It
 * does what its parent calls, and ends when its parent does.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setImmediate } from 'node:timers/promises';
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  CacheInvalidationModule,
  InvalidationPublisher,
  InvalidationStats,
  InvalidationSubscriber,
  NearCacheFactory,
} from 'nestjs-cache-invalidation';
import { rowKeys } from '../database.mjs';
import { Rpc } from '../rpc.mjs';
import { breakLibrary } from './break.mjs';
import { setClock } from './clock.mjs';
import { randomFrom } from './random.mjs';
import { RowCaches } from './row-caches.mjs';
import { RowsService } from './rows.service.mjs';
import { Reading, Writing } from './traffic.mjs';

/** For sockets to close after `app.close()`: then nothing may be left of it. */
const GONE_WITHIN_MS = 2_000;
/** When the parent has let this process go, it must end; this bounds the wait. */
const LAST_RESORT_MS = 20_000;

/** Large messages that are published together. */
const AT_ONCE = 5;

let application;
let atRest;
const parent = new Rpc(process, {
  async start(settings) {
    atRest ??= process.getActiveResourcesInfo();
    application = await Application.start(settings);
  },
  startWriting: () => application.writing.start(),
  stopWriting: () => application.writing.stop(),
  publishLarge: (...args) => application.publishLarge(...args),
  versions: () => application.versions(),
  shared: () => application.shared(),
  report: () => application.report(),
  setClock,
  close: () => application.close(),
  leave: () => void setImmediate().then(leave),
});
// Ctrl-C reaches the whole group; the parent decides when this process ends.
process.on('SIGINT', () => {});
const abandoned = () => process.exit(1);
process.once('disconnect', abandoned);

/** Not `exit()`: what an application left behind would keep this process up. */
function leave() {
  process.off('disconnect', abandoned);
  process.disconnect();
  setTimeout(() => process.exit(1), LAST_RESORT_MS).unref();
}

const database = {
  read: (keys) => parent.call('read', keys),
  write: (keys, stored) => parent.call('write', keys, stored),
};

/** What an application of a user's would put before a table of its own. */
const durableOutbox = {
  pending: (query) => parent.call('outboxPending', query),
  remove: (messageIds) => parent.call('outboxRemove', messageIds),
};

class Application {
  #nest;
  #keys;
  #caches;
  #publisher;
  #subscriber;
  #stats;
  #reading;
  writing;
  /** Code -> how often. */
  #errors = {};
  #lastError = null;
  /** Why it was widened -> how often. */
  #widened = {};
  /** Tells a call that waited from a process that stood still. */
  #stalls = monitorEventLoopDelay({ resolution: 10 });

  static async start(settings) {
    breakLibrary(settings.broken);
    const { durable, ...options } = settings.options;
    if (durable) options.durableOutbox = durableOutbox;
    class AppModule {}
    Module({
      imports: [CacheInvalidationModule.forRoot(options)],
      providers: [
        RowsService,
        {
          provide: RowCaches,
          inject: [NearCacheFactory],
          useFactory: (factory) =>
            new RowCaches(factory, {
              read: database.read,
              random: randomFrom(settings.seed + 1),
              shared: settings.shared,
            }),
        },
      ],
    })(AppModule);
    const nest = await NestFactory.createApplicationContext(AppModule, {
      logger: false,
    });
    return new Application(nest, settings);
  }

  constructor(
    nest,
    { rowsPerType, readsPerSecond, writesPerSecond, seed, options },
  ) {
    this.#nest = nest;
    this.#keys = rowKeys(rowsPerType);
    this.#publisher = nest.get(InvalidationPublisher);
    this.#subscriber = nest.get(InvalidationSubscriber);
    this.#stats = nest.get(InvalidationStats);
    this.#caches = nest.get(RowCaches);
    this.#subscriber.messages$.subscribe((message) => {
      if (message.widened !== null) count(this.#widened, message.widened);
    });
    this.#subscriber.errors$.subscribe((error) => {
      count(this.#errors, error.code);
      this.#lastError = error.message;
    });
    this.#stalls.enable();
    this.#reading = new Reading(this.#caches, this.#keys, readsPerSecond);
    this.writing = new Writing({
      call: options.durable ? this.#durably() : this.#decorated(nest),
      rowsPerType,
      random: randomFrom(seed),
      perSecond: writesPerSecond,
    });
  }

  versions() {
    return this.#caches.versions(this.#keys);
  }

  /** With the failures so far: where one is new, something was not asked for. */
  async shared() {
    const versions = await this.#caches.shared(this.#keys);
    return { versions, failures: this.#caches.stats.l2Errors };
  }

  /** Messages with `bytes` of metadata each, of a row that nobody caches. */
  async publishLarge(messages, bytes) {
    const metadata = 'x'.repeat(bytes);
    for (let i = 0; i < messages; i += AT_ONCE) {
      const some = Array.from({ length: AT_ONCE }, (_, j) =>
        this.#publisher.invalidate('large', String(i + j), { metadata }),
      );
      await Promise.all(some);
    }
  }

  report() {
    const { calls, failed, failure, slowest } = this.writing;
    return {
      ...this.#stats.snapshot(),
      calls: { total: calls, failed, failure, slowest },
      reads: this.#reading.report(),
      caches: this.#caches.stats,
      pending: this.#publisher.pending,
      longestStall: this.#stalls.max / 1e6,
      status: this.#subscriber.status,
      widenedBy: this.#widened,
      errors: this.#errors,
      lastError: this.#lastError,
    };
  }

  /** @returns what there is to report after it, and what it left behind */
  async close() {
    const reading = this.#reading.stop();
    this.#stalls.disable();
    await this.writing.stop();
    await reading;
    const began = performance.now();
    await this.#nest.close();
    const closedIn = performance.now() - began;
    return { ...this.report(), closedIn, leftBehind: await leftBehind() };
  }

  #decorated(nest) {
    const rows = nest.get(RowsService);
    rows.write = (keys) => database.write(keys, null);
    return (change) => rows[change.method](change.what, change);
  }

  /** The row and what must be said of it, in one transaction. */
  #durably() {
    return async (change) => {
      const stored = this.#publisher.prepare(change.invalidation());
      change.bodyBegan = performance.now();
      await database.write(change.keys, {
        messageId: stored.messageId,
        text: stored.text,
      });
      change.bodyEnded = performance.now();
      await this.#publisher.publishStored(stored);
    };
  }
}

/** Sockets, timers and the like, beyond those from before the application. */
async function leftBehind() {
  const left = () => {
    const before = [...atRest];
    return process.getActiveResourcesInfo().filter((resource) => {
      const known = before.indexOf(resource);
      if (known !== -1) before.splice(known, 1);
      return known === -1;
    });
  };
  const deadline = performance.now() + GONE_WITHIN_MS;
  while (left().length > 0 && performance.now() < deadline) {
    // An immediate is no resource that would be counted, as a timer is.
    await setImmediate();
  }
  return left();
}

function count(into, name) {
  into[name] = (into[name] ?? 0) + 1;
}
