import { Random } from './random.js';
import {
  falseStaleness,
  journalProblems,
  regionComplaints,
} from './regions.checks.js';
import type { RelaySabotage } from './regions.records.js';
import { SimulatedRegion, type World } from './regions.region.js';
import { regionScheduleFrom, type RegionSchedule } from './regions.schedule.js';
import { describeSchedule } from './schedule.js';
import { SeenStates } from './seen-states.js';
import {
  complaintsOf,
  GLANCE_MS,
  onVirtualTime,
  PATIENCE_MS,
  type Outcome,
} from './simulate.js';
import { Counts, PUBLISH_TIMEOUT } from './simulated.node.js';
import { Trail, type Trace } from './trail.js';
import type { VirtualTime } from './virtual.time.js';

export interface RegionSimulationOptions {
  readonly sabotage?: RelaySabotage | null;
  readonly trace?: Trace | null;
}

/** Plays the schedule of one seed with several regions, from the start to the end. */
export async function simulateRegions(
  seed: number,
  options: RegionSimulationOptions = {},
): Promise<Outcome> {
  return onVirtualTime(seed, (time, rejections) =>
    new RegionSimulation(seed, time, options, rejections).play(),
  );
}

class RegionSimulation {
  readonly #schedule: RegionSchedule;
  readonly #world: World;
  readonly #seen = new SeenStates();
  readonly #problems: string[] = [];

  constructor(
    private readonly seed: number,
    private readonly time: VirtualTime,
    { sabotage = null, trace = null }: RegionSimulationOptions,
    private readonly rejections: readonly unknown[],
  ) {
    this.#schedule = regionScheduleFrom(
      new Random(seed),
      new Random(~seed ^ 0x5eed),
    );
    this.#world = {
      time,
      random: new Random(~seed),
      others: new Random(seed ^ 0xf0e1),
      trail: new Trail(time, trace),
      schedule: this.#schedule,
      counts: new Counts(),
      rows: new Map(),
      regions: new Map(),
      over: false,
    };
    for (const [index, name] of Object.keys(this.#schedule.nodes).entries()) {
      const random = new Random(seed ^ (0x5eed + index));
      const region = new SimulatedRegion(name, this.#world, random);
      region.network.master.relays.sabotage = sabotage;
      this.#world.regions.set(name, region);
    }
  }

  async play(): Promise<Outcome> {
    const { time } = this;
    const { nodes, troubles, lasts, foreign } = this.#schedule;
    time.afterEvent = () => {
      for (const { network, nodes: each } of this.#regions) {
        this.#seen.add(network.master, each);
      }
    };
    for (const region of this.#regions) {
      const count = nodes[region.name] ?? 0;
      for (let n = 0; n < count; n++) region.join(n === 0);
      this.#repeat(this.#schedule.writeEvery, () => region.write());
      if (foreign.includes(region.name))
        this.#repeat(300, () => region.foreign.write());
      for (let n = 0; n < count; n++) {
        this.#repeat(this.#schedule.readEvery, () => region.read());
      }
    }
    this.#repeat(300, () => this.#checkStaleness());
    for (const { at, region, what } of troubles) {
      time.at(at, () => {
        this.#world.trail.trace(() => `${region}: ${JSON.stringify(what)}`);
        this.#world.regions.get(region)?.faults.happen(what);
      });
    }
    await time.run(lasts);
    this.#world.over = true;
    this.#world.trail.trace('all faults end');
    for (const region of this.#regions) {
      region.network.heal();
      if (region.alive.length === 0) region.join(this.#schedule.durable);
    }
    const healing = await this.#heal();
    const stale = this.#all.flatMap((node) => node.stale).length;
    for (const { alive } of this.#regions)
      for (const node of alive) node.kill();
    await time.run(time.now + 100);
    return this.#outcome(healing, stale);
  }

  get #regions(): SimulatedRegion[] {
    return [...this.#world.regions.values()];
  }

  get #all() {
    return this.#regions.flatMap(({ alive }) => alive);
  }

  get #slowestPublish(): number {
    const nodes = this.#regions.flatMap((region) => region.nodes);
    return Math.max(...nodes.map((node) => node.slowestPublish));
  }

  #repeat(mean: number, action: () => void): void {
    const { random } = this.#world;
    const again = (): void => {
      if (this.#world.over) return;
      action();
      this.time.after(random.until(mean), again);
    };
    this.time.after(random.until(mean), again);
  }

  #checkStaleness(): void {
    for (const { foreign } of this.#regions) foreign.look();
    for (const region of this.#regions) {
      for (const node of region.alive) {
        const problem = falseStaleness(
          node,
          region,
          this.#schedule,
          this.time.now,
        );
        if (problem !== null) this.#problems.push(problem);
      }
    }
  }

  /** @returns milliseconds until all was well, and stayed so */
  async #heal(): Promise<number | null> {
    const { time } = this;
    const { heartbeatInterval } = this.#schedule;
    const healed = time.now;
    let well: number | null = null;
    while (time.now < healed + PATIENCE_MS) {
      await time.run(time.now + GLANCE_MS);
      well = this.#complaints().length === 0 ? (well ?? time.now) : null;
      this.#checkStaleness();
      if (well !== null && time.now - well > heartbeatInterval + 100) break;
    }
    if (well === null) this.#problems.push(...this.#complaints());
    if (this.#slowestPublish > PUBLISH_TIMEOUT + 0.001) {
      this.#problems.push(`a publish took ${this.#slowestPublish} ms`);
    }
    for (const region of this.#regions) {
      this.#problems.push(...journalProblems(region, this.#schedule));
    }
    for (const reason of this.rejections) {
      this.#problems.push(`an unhandled rejection: ${String(reason)}`);
    }
    return well === null ? null : well - healed;
  }

  #complaints(): string[] {
    const { heartbeatInterval, heartbeatTimeout } = this.#schedule;
    const bound = 3 * heartbeatInterval + heartbeatTimeout;
    return this.#regions.flatMap((region) => [
      ...complaintsOf(region.alive, region.database),
      ...regionComplaints(region, this.#schedule, bound),
    ]);
  }

  #outcome(healing: number | null, stale: number): Outcome {
    const { counts, trail } = this.#world;
    return {
      seed: this.seed,
      problems: [...new Set(this.#problems)],
      schedule: describeSchedule(this.#schedule),
      stale,
      invalidations: this.#regions.reduce(
        (sum, { database }) => sum + database.writes,
        0,
      ),
      delivered: counts.deliveries,
      replayed: counts.replays,
      widened: counts.widenings,
      healing,
      slowestPublish: this.#slowestPublish,
      events: this.time.events,
      fingerprint: trail.fingerprint,
      lasted: this.time.now,
      states: this.#seen.hashes,
    };
  }
}
