import { compareOffsets, JOURNAL_START } from '../../lib/message/index.js';
import type {
  ForwardedMessage,
  RelayPlace,
  RelayRecord,
  RelayState,
} from '../../lib/transport/index.js';
import type { SimulatedServer } from './simulated.redis.js';

/**
 * Deliberate mistakes that the checker must find.
 *
 * - `skipping`: each tenth message of a relay is lost
 * - `heedless`: a record is moved wherever it is
 * - `separate`: a record survives the loss of the journal's end
 */
export type RelaySabotage = 'skipping' | 'heedless' | 'separate';

/** Ends the name of a record of repetitions. */
const REPEATED = ':repeat';

/** The record of one relay. */
interface Kept {
  readonly place: RelayPlace;
  /** How often a relay began again at the end of the source's journal. */
  readonly begun: number;
  readonly foreign: boolean;
  readonly holder: { readonly id: string; readonly until: number } | null;
  readonly provenAt: number | null;
}

/** A write to a record, as it is replicated: with the entries of the same script. */
interface Write {
  readonly source: string;
  readonly kept: Kept;
  /** The journal's end before and after it. */
  readonly from: string;
  readonly to: string;
}

const UNKNOWN: Kept = {
  place: { offset: null, restarts: 0 },
  begun: 0,
  foreign: false,
  holder: null,
  provenAt: null,
};

/** The records of all relays on one server, with the history that its replicas have. */
export class RelayRecords {
  sabotage: RelaySabotage | null = null;
  /** Times that a relay gave up a place in the source which the record had. */
  lostPlaces = new Map<string, number>();
  /** Descriptions of moves to an earlier place in the same journal. */
  rewinds: string[] = [];
  #writes: Write[] = [];
  #forwarded = 0;

  of(source: string): Kept {
    return (
      this.#writes.findLast((write) => write.source === source)?.kept ?? UNKNOWN
    );
  }

  write(source: string, kept: Kept, from: string, to: string): void {
    this.#writes.push({ source, kept, from, to });
  }

  /** The place at which a relay began the source's journal, or began it again. */
  startOf(source: string): string | null {
    const { begun } = this.of(source);
    const first = this.#writes.find(
      (write) => write.source === source && write.kept.begun === begun,
    );
    return first?.kept.place.offset ?? null;
  }

  /** The last end of the journal, up to one, that is not inside a script. */
  boundary(end: string): string {
    const torn = this.#writes.find(
      ({ from, to }) =>
        compareOffsets(from, end) < 0 && compareOffsets(end, to) < 0,
    );
    return torn?.from ?? end;
  }

  /** The records of a replica whose journal ends there; `null` for all. */
  upTo(end: string | null): RelayRecords {
    const copy = new RelayRecords();
    copy.sabotage = this.sabotage;
    copy.lostPlaces = this.lostPlaces;
    copy.rewinds = this.rewinds;
    copy.#forwarded = this.#forwarded;
    const isWhole = end === null || this.sabotage === 'separate';
    copy.#writes = this.#writes.filter(
      ({ to }) => isWhole || compareOffsets(to, end) <= 0,
    );
    return copy;
  }

  /** The records of a process that has lost all data. */
  emptied(): RelayRecords {
    const copy = this.upTo(null);
    copy.#writes = [];
    return copy;
  }

  isAt(source: string, { offset, restarts }: RelayPlace): boolean {
    const { place } = this.of(source);
    return (
      this.sabotage === 'heedless' ||
      (place.offset === offset && place.restarts === restarts)
    );
  }

  isSkipped(): boolean {
    return this.sabotage === 'skipping' && ++this.#forwarded % 10 === 0;
  }

  moved(source: string, from: RelayPlace, to: RelayPlace): void {
    if (from.offset === null) return;
    // A place that is gone is answered by "everything", which is repeated at the end.
    if (source.endsWith(REPEATED)) return;
    if (to.offset !== null && compareOffsets(to.offset, from.offset) >= 0)
      return;
    this.rewinds.push(
      `the record of ${source} went back from ${from.offset} to ${to.offset}`,
    );
  }

  restarted(source: string, from: RelayPlace): void {
    // Two empty journals look alike.
    if (from.offset === null || from.offset === JOURNAL_START) return;
    this.lostPlaces.set(source, (this.lostPlaces.get(source) ?? 0) + 1);
  }
}

/** Sends a command to the server; rejects if it is not answered. */
export type Ask = <T>(job: (server: SimulatedServer) => T) => Promise<T>;

/** The counterpart of `RedisRelayRecord`, with the effects of its scripts. */
export class SimulatedRelayRecord implements RelayRecord {
  /** Times of the last hold: when it was executed, and when that was known here. */
  #held = { server: 0, here: 0 };

  constructor(
    private readonly source: string,
    private readonly id: string,
    private readonly now: () => number,
    private readonly ask: Ask,
  ) {}

  read(): Promise<RelayState> {
    return this.ask(({ relays }) => relays.of(this.source));
  }

  forward(
    from: RelayPlace,
    to: string | null,
    messages: readonly ForwardedMessage[],
  ): Promise<RelayPlace | null> {
    return this.ask((server) => this.#forward(server, from, to, messages));
  }

  prove(place: RelayPlace, age: number): Promise<boolean> {
    const provenAt = this.now() - age - (this.#held.here - this.#held.server);
    return this.ask((server) => {
      if (!server.relays.isAt(this.source, place)) return false;
      this.#write(server, { provenAt });
      return true;
    });
  }

  proofAge(): Promise<number | null> {
    return this.ask(({ relays }) => {
      const { provenAt } = relays.of(this.source);
      return provenAt === null ? null : this.now() - provenAt;
    });
  }

  async hold(ttl: number): Promise<boolean> {
    const heldAt = await this.ask((server) => {
      if ((this.#holderOf(server) ?? this.id) !== this.id) return 0;
      this.#write(server, { holder: { id: this.id, until: this.now() + ttl } });
      return this.now();
    });
    if (heldAt === 0) return false;
    this.#held = { server: heldAt, here: this.now() };
    return true;
  }

  release(): Promise<void> {
    return this.ask((server) => {
      if (this.#holderOf(server) !== this.id) return;
      this.#write(server, { holder: null });
    });
  }

  #holderOf({ relays }: SimulatedServer): string | null {
    const { holder } = relays.of(this.source);
    return holder !== null && holder.until > this.now() ? holder.id : null;
  }

  #forward(
    server: SimulatedServer,
    from: RelayPlace,
    to: string | null,
    messages: readonly ForwardedMessage[],
  ): RelayPlace | null {
    const { relays, tail } = server;
    if (!relays.isAt(this.source, from)) return null;
    const isForeign = messages.some(({ kind }) => kind === 'foreign');
    if (isForeign && this.#holderOf(server) !== this.id) return null;
    const foreign = isForeign || relays.of(this.source).foreign;
    let place = from;
    let { begun } = relays.of(this.source);
    const hasBegun = begun;
    const move = (): void =>
      this.#write(server, { place, begun, foreign }, tail);
    const failsAt = server.failingAt(messages.length);
    for (const [index, { payload, kind, offset }] of messages.entries()) {
      if (index >= failsAt) {
        move();
        throw new Error(server.refusal ?? '');
      }
      if (kind === 'restart') {
        relays.restarted(this.source, from);
        begun++;
      }
      if (!relays.isSkipped())
        server.journalAndAnnounce(payload, parseInt(this.id.slice(0, 5), 16));
      place = {
        offset: offset ?? place.offset,
        restarts: place.restarts + Number(kind !== 'next'),
      };
    }
    place = { ...place, offset: to };
    if (begun === hasBegun) relays.moved(this.source, from, place);
    move();
    return place;
  }

  #write(
    server: SimulatedServer,
    changed: Partial<Kept>,
    from = server.tail,
  ): void {
    const kept = { ...server.relays.of(this.source), ...changed };
    server.relays.write(this.source, kept, from, server.tail);
  }
}
