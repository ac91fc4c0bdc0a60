import { Fences, InvalidationStream } from '../../../dist/lib/stream/index.js';
import { breakRelays } from './break-relays.mjs';

const { deliver } = InvalidationStream.prototype;
const { take, takenAt } = Fences.prototype;

/**
 * Switches off a protection of the library, only in this process, to prove that
 * the checker can fail. A later call with `null` restores it.
 *
 * @param what `law`: widened messages are dropped; `fences`: no load counts as
 * overtaken; see break-relays.mjs for the relays; `null`: the whole library
 */
export function breakLibrary(what) {
  InvalidationStream.prototype.deliver =
    what === 'law' ? deliverUnlessWidened : deliver;
  const holds = () => ({ holds: () => true, recalled: false });
  Fences.prototype.take = what === 'fences' ? holds : take;
  breakRelays(what);
  Fences.prototype.takenAt = what === 'fences' ? holds : takenAt;
}

function deliverUnlessWidened(message, ...rest) {
  if (message.widened === null) deliver.call(this, message, ...rest);
}
