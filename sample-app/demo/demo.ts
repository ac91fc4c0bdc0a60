import { once } from 'node:events';
import { Audience } from './audience.js';
import { Claims } from './claims.js';
import { FreshnessJudge } from './freshness.judge.js';
import { HttpClient } from './http.client.js';
import { INSTANCES, Network } from './network.js';
import type { DemoOptions } from './demo.options.js';
import type { Printer } from './printer.js';
import { dropSlot } from './slot.js';
import type { Cast, Story } from './story/story.js';
import { tell } from './story/tell.js';
import type { HeardSql } from '../user-service/source.controller.js';
import { SLOT } from '../user-service/users.source.js';

/** The demo: starts all processes, runs the story, judges it, and stops the processes. */
export class Demo {
  readonly #network: Network;
  readonly #story: Story;
  #right = false;

  constructor(
    private readonly options: DemoOptions,
    private readonly print: Printer,
  ) {
    this.#network = new Network({
      anyPorts: options.once,
      onLine: (name, line) => {
        if (options.verbose) print.line(`${name.padEnd(22)}| ${line}`);
      },
    });
    const http = new HttpClient();
    const judge = new FreshnessJudge(http);
    const claims = new Claims(print);
    this.#story = { network: this.#network, http, judge, claims, print };
  }

  /**
   * @param stop ends the demo early; no process is left when this has returned
   * @returns whether every last read was fresh and every claim right; `false` if
   * the demo was ended before
   * @throws Error if a service ended, or gave an unexpected answer
   */
  async run(stop: AbortSignal): Promise<boolean> {
    try {
      const ended = once(stop, 'abort');
      if (!stop.aborted) await Promise.race([this.#tell(stop), ended]);
      return this.#right;
    } finally {
      await this.#network.stop();
      await this.#dropSlot();
    }
  }

  async #tell(stop: AbortSignal): Promise<void> {
    await this.#start();
    const { failure } = this.#network;
    const cast = await Promise.race([tell(this.#story), failure]);
    this.#right = this.#judge();
    if (!this.options.once) {
      this.#invite(cast);
      const audience = new Audience(this.#network, this.#story.http);
      await Promise.race([audience.run(cast, stop), failure]);
    }
  }

  async #start(): Promise<void> {
    const { print } = this;
    print.line('A social network in five services whose caches stay fresh');
    print.heading('Start');
    const begun = performance.now();
    await this.#network.start();
    for (const { name } of INSTANCES) {
      print.text(`${name.padEnd(24)}${this.#network.urlOf(name)}`);
    }
    const { REDIS_URL, DATABASE_URL } = process.env;
    print.text(
      `${'Redis'.padEnd(24)}${REDIS_URL ? 'REDIS_URL' : 'embedded Valkey'}`,
    );
    print.text(
      `${'PostgreSQL'.padEnd(24)}${DATABASE_URL ? 'DATABASE_URL' : 'embedded PGlite'}`,
    );
    print.text(`${'plain SQL is heard by'.padEnd(24)}${await this.#heardBy()}`);
    print.step('all services ready', '', performance.now() - begun);
  }

  async #heardBy(): Promise<string> {
    const url = `${this.#network.urlOf('user-service')}/sql`;
    return (await this.#story.http.mustSend<HeardSql>('GET', url)).body.by;
  }

  async #dropSlot(): Promise<void> {
    const { DATABASE_URL } = process.env;
    if (!DATABASE_URL || (await dropSlot(DATABASE_URL))) return;
    this.print.line(
      `The replication slot ${SLOT} may be left on the server: SELECT pg_drop_replication_slot('${SLOT}')`,
    );
  }

  #judge(): boolean {
    const { judge, claims, print } = this.#story;
    const { checks, oldReads, stale } = judge;
    print.heading(
      stale === 0
        ? `Fresh: in each of ${checks} checks the last read was fresh (${oldReads} old reads before).`
        : `STALE: in ${stale} of ${checks} checks the last read was still old.`,
    );
    print.line(
      claims.wrong === 0
        ? `Right: each of ${claims.made} claims held.`
        : `WRONG: ${claims.wrong} of ${claims.made} claims did not hold.`,
    );
    return stale === 0 && claims.wrong === 0;
  }

  #invite({ graceId }: Cast): void {
    const { print } = this;
    const gateway = this.#network.urlOf('gateway');
    const users = this.#network.urlOf('user-service');
    print.heading('Your turn (Ctrl-C ends it):');
    print.text(
      `live page: ${gateway}/ (while it is open, the demo reads six times a second through the gateways)`,
    );
    print.text(`curl -i ${gateway}/users/${graceId}`);
    print.text(
      `curl -X PUT ${users}/users/${graceId} -H 'content-type: application/json' -d '{"name":"Rear Admiral Hopper"}'`,
    );
    print.text(`curl -i ${gateway}/users/${graceId}`);
    print.text(`curl -X POST ${users}/sql/capitals (plain SQL)`);
    print.text(`curl ${gateway}/notifications/${graceId}`);
    print.text(`curl ${gateway}/cache`);
    print.text(`curl ${gateway}/health`);
    print.text(`curl ${gateway}/stats`);
  }
}
