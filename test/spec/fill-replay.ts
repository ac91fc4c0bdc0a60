/** Replays traces of `fill.pml` against the real near cache and second tier. */
import type { MemoryL2Store } from '../../lib/transport/index.js';
import {
  KEY,
  NOTHING,
  type Code,
  type Command,
  type Surroundings,
} from './fill-connection.js';
import { Node } from './fill-node.js';
import { SIZES } from './fill-traces.mjs';

/** Microtasks in which the effects of an event end: no timer runs within a trace. */
const TURNS = 20;
const MESSAGE_TURNS = 4;

/** The rest of the model: the row, the journal, Redis and the running instances. */
class World implements Surroundings {
  readonly store: MemoryL2Store;
  readonly #entries = new Map<string, Buffer>();
  /** Writers, by offset; `null` for what does not affect the row. */
  readonly journal: (number | null)[] = [null, null];
  readonly versions: number[] = [];
  readonly placed: number[] = [];
  row = 1;
  readonly nodes: (Node | undefined)[] = [];
  /** Commands by instance, which they outlive. */
  readonly puts: (Command | undefined)[] = [];
  readonly drops: (Command | undefined)[] = [];

  constructor(readonly code: Code) {
    this.store = new code.MemoryL2Store(this.#entries);
    for (let at = 0; at < SIZES.INSTANCES - 1; at++) {
      this.nodes[at] = new Node(this, at);
    }
  }

  get entry(): Buffer | undefined {
    return this.#entries.get(KEY);
  }

  get end(): number {
    return this.journal.length - 1;
  }

  /** Newest version in the journal. */
  get newest(): number {
    const writers = this.journal.filter((writer) => writer !== null);
    return Math.max(1, ...writers.map((writer) => this.versions[writer]!));
  }

  publish(writer: number | null): void {
    this.journal.push(writer);
    if (writer !== null) this.placed[writer] = this.end;
  }

  /** Executes a put. @returns whether it was stored */
  put(at: number): boolean {
    const command = this.puts[at]!;
    this.puts[at] = undefined;
    command.execute();
    return this.entry === command.entry;
  }

  /** Executes a drop. @returns whether there was an entry, and is none any more */
  drop(at: number): boolean {
    const isThere = this.entry !== undefined;
    this.drops[at]?.execute();
    return isThere && this.entry === undefined;
  }
}

/** Events by their letters; those with a check return whether the code did the same. */
const EVENTS: Record<string, (world: World, at: number) => boolean | void> = {
  c: (world, at) => void (world.versions[at] = ++world.row),
  p: (world, at) => world.publish(at),
  o: (world) => world.publish(null),
  t: (world, at) => world.nodes[at]!.deliverOwn(),
  a: (world, at) => world.nodes[at]!.acknowledge(),
  d: (world, at) => world.nodes[at]!.deliver(),
  w: (world, at) => world.nodes[at]!.widen(),
  i: (world, at) => world.nodes[at]!.claim(),
  b: (world, at) => void (world.nodes[at] = new Node(world, at)),
  e: (world, at) => world.nodes[at]!.recall(),
  j: (world, at) => {
    world.nodes[at]!.close();
    world.nodes[at] = undefined;
  },
  y: (world, at) => world.nodes[at]!.expire(),
  r: (world, at) => world.nodes[at]!.ask(),
  h: (world, at) => world.nodes[at]!.connection.reply(),
  m: (world, at) => world.nodes[at]!.connection.reply(),
  q: (world, at) => void (world.nodes[at]!.row = world.row),
  k: (world, at) => world.nodes[at]!.land(),
  n: (world, at) => world.nodes[at]!.land(),
  f: (world, at) => {
    if (world.puts[at] === NOTHING) world.puts[at] = undefined;
  },
  s: (world, at) => world.put(at),
  x: (world, at) => !world.put(at),
  g: (world, at) => world.drop(at),
  v: (world, at) => !world.drop(at),
};

/** Checks after the effects of a load's events. @returns whether the code did the same */
const EFFECTS: Record<string, (world: World, at: number) => boolean> = {
  r: () => true,
  h: (world, at) => !world.nodes[at]!.isLoading && world.nodes[at]!.hasRead,
  m: (world, at) => world.nodes[at]!.isLoading,
  k: (world, at) => world.nodes[at]!.landed(world, true),
  n: (world, at) => world.nodes[at]!.landed(world, false),
};

/** @returns what went wrong, and where; `null` if nothing did */
export async function replay(
  trace: string,
  code: Code,
): Promise<string | null> {
  const world = new World(code);
  for (let at = 0; at < trace.length; at += 2) {
    const name = trace[at]!;
    const who = Number(trace[at + 1]);
    const isSame = EVENTS[name]!(world, who) ?? true;
    const turns = name in EFFECTS ? TURNS : MESSAGE_TURNS;
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    const outdated = world.nodes.map((node) => node?.outdated).find(Boolean);
    if (outdated) return `${trace.slice(0, at + 2)}: ${outdated}`;
    if (!isSame || EFFECTS[name]?.(world, who) === false) {
      return `${trace.slice(0, at + 2)}: the model does something else`;
    }
  }
  for (const node of world.nodes) node?.close();
  await new Promise((resolve) => setImmediate(resolve));
  return null;
}
