import { Fences, InvalidationStream } from '../../../dist/lib/stream/index.js';

const { deliver } = InvalidationStream.prototype;
const { take, takenAt } = Fences.prototype;

/**
 * Takes something out of the library, only here, in this process, to see whether
 * the checker notices; for applications later in the process it is back.
 *
 * @param what `law`: what is widened is dropped; `fences`: nothing that is loaded
 * counts as overtaken; `null` for nothing
 */
export function breakLibrary(what) {
  InvalidationStream.prototype.deliver =
    what === 'law' ? deliverUnlessWidened : deliver;
  const holds = () => ({ holds: () => true, recalled: false });
  Fences.prototype.take = what === 'fences' ? holds : take;
  Fences.prototype.takenAt = what === 'fences' ? holds : takenAt;
}

function deliverUnlessWidened(message, ...rest) {
  if (message.widened === null) deliver.call(this, message, ...rest);
}
