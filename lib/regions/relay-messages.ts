import {
  encodeMessage,
  everything,
  relayed,
  type Instance,
  type InvalidationMessage,
} from '../message/index.js';

/** Bytes that the journal adds to a message, with room to spare. */
const PLACE_BYTES = 256;
/** An origin that takes as many bytes on the wire as it has characters. */
const PLAIN_ORIGIN = /^[\w-]{36}$/;

/** @internal */
export interface RelayNames {
  /** The region whose messages are relayed. */
  readonly source: string;
  /** This region. */
  readonly local: string;
  /** Whether messages that were born in a third region are relayed, too. */
  readonly transit: boolean;
  /** All sources of this region. */
  readonly sources: readonly string[];
}

/**
 * Messages as one relay publishes them in this region.
 *
 * @internal
 */
export class RelayMessages {
  constructor(
    private readonly names: RelayNames,
    private readonly instance: Instance,
    private readonly maxBytes: number,
  ) {}

  /** A message of the source for this region; `null` if it is not to be published here. */
  relayed(message: InvalidationMessage): InvalidationMessage | null {
    const { source, local, transit } = this.names;
    return relayed(message, source, local, transit);
  }

  /** "Everything", for messages of the source that are not known. */
  everything(): InvalidationMessage {
    const { source, local } = this.names;
    const message = this.instance.stamp(everything());
    return { ...message, region: source, path: [local] };
  }

  /** Whether a message of the source was published there by this region. */
  isOurs({ path }: InvalidationMessage): boolean {
    return path?.at(-1) === this.names.local;
  }

  /** Marks a relayed message that this region has repeated, or need not repeat. */
  final(message: InvalidationMessage): InvalidationMessage {
    const path = [...(message.path ?? []), this.names.local];
    return { ...message, path, offset: null, previous: null };
  }

  /** Whether a message of this region's journal was relayed here and is to be repeated. */
  isRepeatable({ region, path }: InvalidationMessage): boolean {
    const { source, local, sources } = this.names;
    if (path?.at(-1) !== local || path.at(-2) === local) return false;
    const from = path.at(-2) ?? region;
    // A source may call itself otherwise: then each repeats its messages.
    return from === source || from === null || !sources.includes(from);
  }

  /** Writes a message; "everything" in the place of one that has become too large. */
  encode(message: InvalidationMessage): string {
    // The script expects the origin of an instance at the end.
    const origin =
      message.origin !== null && PLAIN_ORIGIN.test(message.origin)
        ? message.origin
        : this.instance.origin;
    try {
      return encodeMessage({ ...message, origin }, this.maxBytes - PLACE_BYTES);
    } catch {
      return encodeMessage(this.everything(), this.maxBytes);
    }
  }
}
