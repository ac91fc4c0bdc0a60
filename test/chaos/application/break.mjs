import { InvalidationStream } from '../../../dist/lib/stream/index.js';

/**
 * Takes the law out of the library: what is widened is dropped. Only here, in
 * this process, to see whether the checker notices.
 */
export function dropWidened() {
  const { deliver } = InvalidationStream.prototype;
  InvalidationStream.prototype.deliver = function (message, ...rest) {
    if (message.widened === null) deliver.call(this, message, ...rest);
  };
}
