import { once } from 'node:events';
import { Claims } from '../claims.js';
import type { DemoOptions } from '../demo.options.js';
import { FreshnessJudge } from '../freshness.judge.js';
import { HttpClient } from '../http.client.js';
import type { Printer } from '../printer.js';
import { crossings, ownWrite, prepare } from './crossing.chapter.js';
import { compare, cut, heal, writeApart } from './cut.chapter.js';
import { RegionsNetwork } from './regions.network.js';
import type { RegionsStory } from './regions.story.js';

/** The network of the story, which a test may replace. */
export type RegionsPlace = Pick<
  RegionsNetwork,
  'start' | 'stop' | 'failure' | 'instances' | 'urlOf' | 'cut' | 'heal'
>;

/** The demo of two regions: starts all processes, runs its story, and stops them. */
export class RegionsDemo {
  readonly #network: RegionsPlace;
  readonly #story: RegionsStory;
  #right = false;

  constructor(
    { verbose }: Pick<DemoOptions, 'verbose'>,
    private readonly print: Printer,
    network: RegionsPlace = new RegionsNetwork((name, line) => {
      if (verbose) print.line(`${name.padEnd(22)}| ${line}`);
    }),
  ) {
    this.#network = network;
    const http = new HttpClient();
    this.#story = {
      network,
      http,
      judge: new FreshnessJudge(http),
      claims: new Claims(print),
      print,
    };
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
      if (!stop.aborted) await Promise.race([this.#tell(), ended]);
      return this.#right;
    } finally {
      await this.#network.stop();
    }
  }

  async #tell(): Promise<void> {
    const { print } = this;
    print.line('Two regions, each with its own Redis, and a long link between');
    print.heading('Start');
    const begun = performance.now();
    await this.#network.start();
    print.text(
      `${this.#network.instances.join(', ')}, a Valkey in each region`,
    );
    print.step('all services ready', '', performance.now() - begun);
    await Promise.race([this.#chapters(), this.#network.failure]);
    this.#right = this.#judge();
  }

  async #chapters(): Promise<void> {
    const story = this.#story;
    const rows = await prepare(story);
    await crossings(story, rows);
    await ownWrite(story, rows);
    await cut(story);
    const writes = await writeApart(story, rows);
    await heal(story, writes);
    await compare(story, rows);
  }

  #judge(): boolean {
    const { judge, claims, print } = this.#story;
    const right = judge.stale === 0 && claims.wrong === 0;
    print.heading(
      right
        ? `Right: each of ${judge.checks} writes was read in time, and each of ${claims.made} claims held.`
        : `WRONG: ${judge.stale} of ${judge.checks} writes were not read in time, ${claims.wrong} of ${claims.made} claims did not hold.`,
    );
    return right;
  }
}
