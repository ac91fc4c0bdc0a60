/** Descriptions of each kind of problem; further ones are counted. */
const SHOWN = 3;

/**
 * Compares what the relays have published in each region with what their sources had
 * published: no message twice, none in a loop, none missing, none made up, and one
 * "everything" for each source and for each loss.
 *
 * @param losses `{ 'us>eu': 1 }`: how often a region could not learn from its journal
 * what a source had published
 * @param retries whether publishers may have repeated a message, not knowing whether
 * Redis had taken it
 */
export async function checkRegions(stage, { losses = {}, retries = false }) {
  const { broker, applications } = stage;
  const journals = await journalsOf(broker);
  const problems = [...broker.complaints];
  for (const local of broker.names) {
    const heard = new Set(
      applications
        .filter(({ region }) => region === local)
        .flatMap(({ sources }) => sources),
    );
    const check = new RegionCheck(local, journals, {
      repeated: broker.repeated,
      transit: broker.transit,
      retries,
    });
    problems.push(...check.problems());
    for (const source of heard) {
      const way = `${source}>${local}`;
      const lost = losses[way] ?? 0;
      // The first relay finds no record, and does not know what came before.
      const expected = (broker.widenedBefore.get(way) ?? 1) + lost;
      const found = check.widenings(source);
      if (found !== expected) {
        problems.push(
          `${local}: "everything" of ${source} was published ${found} times instead of ${expected}`,
        );
      }
      if (lost === 0) problems.push(...check.missing(source));
    }
  }
  return problems;
}

/** How often a relay has published "everything" so far, by source and region. */
export async function widenings(broker) {
  const journals = await journalsOf(broker);
  const counts = new Map();
  for (const local of broker.names) {
    const check = new RegionCheck(local, journals, broker);
    check.problems();
    for (const source of broker.names) {
      const count = check.widenings(source);
      if (count > 0) counts.set(`${source}>${local}`, count);
    }
  }
  return counts;
}

async function journalsOf({ names, regions }) {
  const journals = new Map();
  for (const name of names) {
    journals.set(name, new Journal(await regions[name].tap.lives()));
  }
  return journals;
}

/** Messages that one region has published. */
class Journal {
  lives;
  /** How often each message was published, by ID. */
  counts = new Map();

  constructor(lives) {
    this.lives = lives;
    const offsets = new Set();
    for (const { offset, message_id: id } of lives.flat()) {
      // An entry that the server has kept is the same one in both of its lives.
      if (offsets.has(`${offset} ${id}`)) continue;
      offsets.add(`${offset} ${id}`);
      this.counts.set(id, (this.counts.get(id) ?? 0) + 1);
    }
  }
}

class RegionCheck {
  /** Places of each "everything" that a relay has published, by source. */
  #widenings = new Map();
  #local;
  #journals;
  #repeated;
  #retries;
  #transit;

  constructor(local, journals, { repeated, retries, transit }) {
    this.#local = local;
    this.#journals = journals;
    this.#repeated = repeated;
    this.#retries = retries;
    this.#transit = transit;
  }

  problems() {
    const found = { loops: [], twice: [], unknown: [] };
    for (const life of this.#journals.get(this.#local).lives) {
      for (const [id, messages] of byId(life)) this.#judge(id, messages, found);
    }
    return [
      ...told(`${this.#local}: in a loop`, found.loops),
      ...told(`${this.#local}: announced twice`, found.twice),
      ...told(`${this.#local}: published by no one`, found.unknown),
    ];
  }

  /** How often a relay has published "everything" for a source. */
  widenings(source) {
    return this.#widenings.get(source)?.size ?? 0;
  }

  /** Messages of a source that are for this region, and never came here. */
  missing(source) {
    const local = this.#local;
    const here = this.#journals.get(local).counts;
    const born = this.#journals
      .get(source)
      .lives.flat()
      .filter(({ region, path }) => {
        if (region === source) return true;
        return (
          this.#transit.includes(source) &&
          ![region, ...(path ?? [])].includes(local)
        );
      });
    // A source in which nothing is written has nothing to tell.
    if (born.length === 0) return [];
    // Messages from before the first relay are in its "everything".
    const first = born.findIndex(({ message_id: id }) => here.has(id));
    if (first === -1) return [`${this.#local}: nothing of ${source} came`];
    const missing = born.slice(first).filter((each) => {
      return !here.has(each.message_id);
    });
    return told(`${this.#local}: dropped`, missing.map(described));
  }

  #judge(id, messages, { loops, twice, unknown }) {
    const [{ region, path, pattern }] = messages;
    const local = this.#local;
    if (messages.some((each) => each.path?.slice(0, -1).includes(local))) {
      loops.push(described(messages[0]));
    } else if (region === local) {
      const isRepeated =
        messages.length > 1 && !this.#retries && !this.#repeated.has(id);
      if (isRepeated || path) loops.push(described(messages[0]));
      return;
    }
    const source = path?.at(-2) ?? region;
    const announced = this.#journals.get(source)?.counts.get(id) ?? 0;
    if (messages.length > Math.max(1, announced) && !this.#repeated.has(id)) {
      twice.push(described(messages[0]));
    }
    if (announced > 0) return;
    if (pattern !== '*') {
      unknown.push(described(messages[0]));
      return;
    }
    // A server that keeps its data has the same one in its next life.
    const places = this.#widenings.get(source) ?? new Set();
    this.#widenings.set(source, places);
    for (const { offset } of messages) places.add(offset);
  }
}

function byId(life) {
  const groups = new Map();
  for (const message of life) {
    const { message_id: id } = message;
    if (!groups.has(id)) groups.set(id, []);
    groups.get(id).push(message);
  }
  return groups;
}

function told(what, cases) {
  if (cases.length === 0) return [];
  const shown = cases.slice(0, SHOWN).join('; ');
  return [`${what}: ${cases.length} messages, such as ${shown}`];
}

function described({ message_id: id, region, path, offset }) {
  const via = path ? ` over ${path.join(', ')}` : '';
  return `${id} of ${region}${via} at ${offset}`;
}
