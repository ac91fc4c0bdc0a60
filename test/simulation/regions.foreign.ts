import { entity, type InvalidationMessage } from '../../lib/message/index.js';
import type { RegionNode } from './regions.node.js';
import type { SimulatedRegion, World } from './regions.region.js';
import { isLasting, sourcesOf } from './regions.schedule.js';
import type { ForeignService } from './simulated.node.js';
import { changeFrom, said } from './workload.js';

interface Said {
  readonly message: InvalidationMessage;
  readonly at: number;
  readonly owedTo: Set<string>;
}

/**
 * A service in another language, in one region. No journal has its messages, so a relay
 * answers those that it could not hear with "everything". It owes that from the moment
 * on at which its record knows of such a service.
 */
export class RegionForeign {
  readonly #said: Said[] = [];
  readonly #readers: readonly string[];

  constructor(
    private readonly region: SimulatedRegion,
    private readonly service: ForeignService,
    private readonly world: World,
  ) {
    const { schedule } = world;
    this.#readers = Object.keys(schedule.nodes).filter(
      (name) => region.name in sourcesOf(schedule, name),
    );
  }

  /** A message, of changed rows once everybody is certain to be told of them. */
  write(): void {
    const { others, time, trail } = this.world;
    const { network, database, taken, name } = this.region;
    if (!network.master.up || network.master.stopped) return;
    const owedTo = new Set(this.#readers.filter((each) => this.#isKnown(each)));
    const [change, keys] = changeFrom(others);
    const isReal = owedTo.size === this.#readers.length && this.#isSafe;
    if (isReal) database.change(keys);
    const what = isReal ? change : entity('session', 'nobody');
    const message = this.service.say(what);
    this.#said.push({ message, at: time.now, owedTo });
    taken.push({ message, at: time.now, owedTo });
    trail.trace(
      () =>
        `a foreign service of ${name} says ${said(what)} ${message.messageId}`,
    );
  }

  /** Looks for records that have lost the knowledge of this service. */
  look(): void {
    for (const name of this.#readers) {
      if (this.#isKnown(name)) continue;
      // A known limit: nobody may remember what came before the loss.
      for (const { owedTo } of this.#said) owedTo.delete(name);
    }
  }

  /** Messages that an instance in another region was not told of at all. */
  missedBy({ name, servingSince, heard, widenedAt }: RegionNode, of: string) {
    if (servingSince === null) return [];
    const since = Math.max(servingSince, widenedAt);
    return this.#said
      .filter(
        ({ message: { messageId }, at, owedTo }) =>
          at > since && owedTo.has(of) && !heard.has(messageId),
      )
      .map(
        ({ message: { messageId }, at }) =>
          `${name} was not told of ${messageId}, said in ${this.region.name} at ${at}`,
      );
  }

  #isKnown(reader: string): boolean {
    const { relays } = this.region.other(reader).network.master;
    return relays.of(this.region.name).foreign;
  }

  /** Whether no instance of any region can miss it, and not know. */
  get #isSafe(): boolean {
    const { schedule } = this.world;
    const { network, alive } = this.region;
    return (
      network.misled.size === 0 &&
      alive.every(({ heardForeign }) => heardForeign) &&
      Object.keys(schedule.nodes).every((name) => isLasting(schedule, name))
    );
  }
}
