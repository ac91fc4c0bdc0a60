import { SourceReader } from '../../../dist/lib/regions/source-reader.js';
import { RelayMessages } from '../../../dist/lib/regions/relay-messages.js';
import { RedisRelayRecord } from '../../../dist/lib/transport/redis/redis-relay-record.js';

const { relayed } = RelayMessages.prototype;
const { begin, widen } = SourceReader.prototype;
const { hold } = RedisRelayRecord.prototype;

/** Hops after which even a broken relay carries a message no further. */
const HOPS = 2;

/**
 * Switches off a protection of the relays, only in this process.
 *
 * @param what `relay-filter`: everything is carried; `relay-chain`: the end of a source's
 * journal is trusted, though the place of the record is not in it; `relay-proof`: the
 * holder is a proof by itself; anything else: nothing
 */
export function breakRelays(what) {
  const broken = (name, replacement, original) =>
    what === name ? replacement : original;
  RelayMessages.prototype.relayed = broken('relay-filter', carryAll, relayed);
  RedisRelayRecord.prototype.hold = broken('relay-proof', holdAndProve, hold);
  SourceReader.prototype.begin = broken('relay-chain', beginKnowing, begin);
  SourceReader.prototype.widen = broken('relay-chain', widenAtFirst, widen);
}

function carryAll(message) {
  const { source } = this.names;
  const { region, path } = message;
  if (path?.length === HOPS) return null;
  return {
    ...message,
    region: region ?? source,
    path: [...(path ?? []), source],
    offset: null,
    previous: null,
  };
}

async function holdAndProve(ttl) {
  const isHolder = await hold.call(this, ttl);
  const { place } = await this.read();
  if (isHolder && place.offset !== null) await this.prove(place, 0);
  return isHolder;
}

function beginKnowing(offset) {
  this.knowsPlace = offset !== null;
  begin.call(this, offset);
}

function widenAtFirst() {
  if (this.position !== null && this.knowsPlace) return;
  this.knowsPlace = this.position !== null;
  widen.call(this);
}
