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
  const journals = new Map();
  for (const name of broker.names) {
    journals.set(name, new Journal(await broker.regions[name].tap.lives()));
  }
  const problems = [...broker.complaints];
  for (const local of broker.names) {
    const heard = new Set(
      applications
        .filter(({ region }) => region === local)
        .flatMap(({ sources }) => sources),
    );
    const check = new RegionCheck(local, journals, { ...broker, retries });
    problems.push(...check.problems());
    for (const source of heard) {
      const extra = losses[`${source}>${local}`] ?? 0;
      const found = check.widenings.get(source) ?? 0;
      // The first relay finds no record, and does not know what came before.
      if (found !== 1 + extra) {
        problems.push(
          `${local}: "everything" of ${source} was published ${found} times instead of ${1 + extra}`,
        );
      }
      if (extra === 0) problems.push(...check.missing(source));
    }
  }
  return problems;
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
      // What a server has kept is the same entry in both of its lives.
      if (offsets.has(`${offset} ${id}`)) continue;
      offsets.add(`${offset} ${id}`);
      this.counts.set(id, (this.counts.get(id) ?? 0) + 1);
    }
  }
}

class RegionCheck {
  /** Times that "everything" was published by a relay, by source. */
  widenings = new Map();
  #local;
  #journals;
  #repeated;
  #retries;

  constructor(local, journals, { repeated, retries }) {
    this.#local = local;
    this.#journals = journals;
    this.#repeated = repeated;
    this.#retries = retries;
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

  /** Messages that were born in a source, and never came here. */
  missing(source) {
    const here = this.#journals.get(this.#local).counts;
    const born = this.#journals
      .get(source)
      .lives.flat()
      .filter(({ region }) => region === source);
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
    if (messages.some((each) => each.path?.includes(local))) {
      loops.push(described(messages[0]));
    } else if (region === local) {
      const isRepeated =
        messages.length > 1 && !this.#retries && !this.#repeated.has(id);
      if (isRepeated || path) loops.push(described(messages[0]));
      return;
    }
    const source = path?.at(-1) ?? region;
    const announced = this.#journals.get(source)?.counts.get(id) ?? 0;
    if (messages.length > Math.max(1, announced) && !this.#repeated.has(id)) {
      twice.push(described(messages[0]));
    }
    if (announced > 0) return;
    if (pattern !== '*') return unknown.push(described(messages[0]));
    const before = this.widenings.get(source) ?? 0;
    this.widenings.set(source, before + messages.length);
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
