/**
 * One instance: a Nest application with the module, near caches of all rows
 * that are read all the time, and optionally a service that changes rows. It
 * executes the calls of its parent process, and ends with it.
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
import { RegionRelays } from '../../../dist/lib/regions/index.js';
import { rowKeys } from '../database.mjs';
import { Rpc } from '../rpc.mjs';
import { breakLibrary } from './break.mjs';
import { setClock } from './clock.mjs';
import { leftBehind } from './left-behind.mjs';
import { PostgresLoads } from './postgres-rows.mjs';
import { sourceModules, sourceStatus } from './postgres-source.mjs';
import { randomFrom } from './random.mjs';
import { Rights } from './rights.mjs';
import { RowCaches } from './row-caches.mjs';
import { RowsService } from './rows.service.mjs';
import { Told } from './told.mjs';
import { Reading, Writing } from './traffic.mjs';

/** Limit for the end of this process after the parent has disconnected. */
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
  startWriting: () => application.startWriting(),
  stopWriting: () => application.stopWriting(),
  publishLarge: (...args) => application.publishLarge(...args),
  versions: () => application.versions(),
  kept: () => application.kept(),
  shared: () => application.shared(),
  rights: () => application.rights.read(),
  report: () => application.report(),
  staleness: (sources) => application.staleness(sources),
  relayed: () => application.relayed(),
  setClock,
  close: () => application.close(),
  leave: () => void setImmediate().then(leave),
});
// Ctrl-C reaches the whole process group, but the parent decides when this
// process ends.
process.on('SIGINT', () => {});
const abandoned = () => process.exit(1);
process.once('disconnect', abandoned);

/**
 * Ends without `exit()`: anything that an application left behind keeps this
 * process alive.
 */
function leave() {
  process.off('disconnect', abandoned);
  process.disconnect();
  setTimeout(() => process.exit(1), LAST_RESORT_MS).unref();
}

const database = {
  read: (keys) => parent.call('read', keys),
  write: (keys, stored) => parent.call('write', keys, stored),
};

/** Durable outbox in front of the application's table. */
const durableOutbox = {
  pending: (query) => parent.call('outboxPending', query),
  remove: (messageIds) => parent.call('outboxRemove', messageIds),
};

class Application {
  #nest;
  /** `null` if the rows are in the parent process. */
  #loads;
  #hasSource;
  #keys;
  #caches;
  #publisher;
  #subscriber;
  #stats;
  #reading;
  #writing;
  /** Of one region, and without PostgreSQL; or `null`. */
  rights;
  /** Number of errors by code. */
  #errors = {};
  /** Number of their causes by code. */
  #causes = {};
  #lastError = null;
  /** Number of widened messages by cause. */
  #widened = {};
  #told;
  /** Distinguishes a call that waited from a process that was stopped. */
  #stalls = monitorEventLoopDelay({ resolution: 10 });

  static async start(settings) {
    breakLibrary(settings.broken);
    const { durable, ...options } = settings.options;
    if (durable) options.durableOutbox = durableOutbox;
    const loads =
      settings.loads === undefined ? null : new PostgresLoads(settings.loads);
    class AppModule {}
    Module({
      imports: [
        CacheInvalidationModule.forRoot(options),
        ...sourceModules(settings.source),
      ],
      providers: [
        RowsService,
        {
          provide: RowCaches,
          inject: [NearCacheFactory],
          useFactory: (factory) =>
            new RowCaches(factory, {
              read: loads === null ? database.read : (keys) => loads.read(keys),
              readPrimary: loads?.readPrimary ?? null,
              replica: loads?.replica ?? null,
              random: randomFrom(settings.seed + 1),
              shared: settings.shared,
              max: settings.max,
            }),
        },
      ],
    })(AppModule);
    const nest = await NestFactory.createApplicationContext(AppModule, {
      logger: false,
    });
    return new Application(nest, loads, settings);
  }

  constructor(
    nest,
    loads,
    {
      rowsPerType,
      types,
      readsPerSecond,
      writesPerSecond,
      seed,
      options,
      source,
      rights,
    },
  ) {
    this.#nest = nest;
    this.#loads = loads;
    this.#hasSource = source !== undefined;
    this.#keys = rowKeys(rowsPerType);
    this.#publisher = nest.get(InvalidationPublisher);
    this.#subscriber = nest.get(InvalidationSubscriber);
    this.#stats = nest.get(InvalidationStats);
    this.#caches = nest.get(RowCaches);
    this.#told = new Told(this.#keys);
    this.#subscriber.messages$.subscribe((message) => {
      if (loads !== null) this.#told.hear(message);
      if (message.widened !== null) count(this.#widened, message.widened);
    });
    this.#subscriber.errors$.subscribe((error) => {
      count(this.#errors, error.code);
      if (error.cause?.code) count(this.#causes, error.cause.code);
      this.#lastError = error.message;
    });
    this.#stalls.enable();
    this.#reading = new Reading(this.#caches, this.#keys, readsPerSecond);
    this.rights = rights
      ? new Rights(nest, parent, randomFrom(seed + 2))
      : null;
    this.#writing = new Writing({
      call: options.durable ? this.#durably() : this.#decorated(nest),
      rowsPerType,
      types,
      random: randomFrom(seed),
      perSecond: writesPerSecond,
    });
  }

  startWriting() {
    this.#writing.start();
    this.rights?.startRevoking();
  }

  async stopWriting() {
    await Promise.all([this.#writing.stop(), this.rights?.stopRevoking()]);
  }

  versions() {
    return this.#caches.versions(this.#keys);
  }

  kept() {
    const { positions, times } = this.#told;
    return { versions: this.versions(), positions, times };
  }

  /**
   * Versions in Redis, with the failures so far: after a new failure some rows
   * were not queried.
   */
  async shared() {
    const versions = await this.#caches.shared(this.#keys);
    return { versions, failures: this.#caches.stats.l2Errors };
  }

  /**
   * Publishes messages with `bytes` of metadata each, about a row that no
   * instance caches.
   */
  async publishLarge(messages, bytes) {
    const metadata = 'x'.repeat(bytes);
    for (let i = 0; i < messages; i += AT_ONCE) {
      const some = Array.from({ length: AT_ONCE }, (_, j) =>
        this.#publisher.invalidate('large', String(i + j), { metadata }),
      );
      await Promise.all(some);
    }
  }

  staleness(sources) {
    return Object.fromEntries(
      sources.map((source) => [source, this.#subscriber.staleness(source)]),
    );
  }

  relayed() {
    const { relays } = this.#nest.get(RegionRelays, { strict: false });
    return relays
      .filter(({ isHolder }) => isHolder)
      .map(({ source }) => source);
  }

  report() {
    const { calls, failed, failure, slowest } = this.#writing;
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
      causes: this.#causes,
      lastError: this.#lastError,
      source: this.#hasSource ? sourceStatus(this.#nest) : null,
    };
  }

  /**
   * @returns the report at the end, with everything that the application left
   * behind
   */
  async close() {
    const reading = this.#reading.stop();
    this.#stalls.disable();
    await this.stopWriting();
    await this.rights?.close();
    await reading;
    const began = performance.now();
    await this.#nest.close();
    await this.#loads?.close();
    const closedIn = performance.now() - began;
    const left = await leftBehind(atRest);
    return { ...this.report(), closedIn, leftBehind: left };
  }

  #decorated(nest) {
    const rows = nest.get(RowsService);
    rows.write = (keys) => database.write(keys, null);
    return (change) => rows[change.method](change.what, change);
  }

  /** Changes the row and stores its invalidation in one transaction. */
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

function count(into, name) {
  into[name] = (into[name] ?? 0) + 1;
}
