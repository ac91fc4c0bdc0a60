import { Redis } from 'ioredis';
import { inject, onTestFinished } from 'vitest';
import { RedisTransport } from '../../lib/transport/index.js';
import { uniqueChannel } from '../support/app.js';
import {
  transportContract,
  type TransportSetup,
} from './transport.contract.js';

function over(connection: string | Redis, journaled: boolean): TransportSetup {
  const journal = journaled && { maxLength: 1_000 };
  const on = (channel: string) => (): RedisTransport =>
    new RedisTransport({
      connection,
      channel,
      journal,
      sharded: false,
      maxMessageBytes: 1_048_576,
    });
  return { here: on(uniqueChannel()), elsewhere: on(uniqueChannel()) };
}

for (const journaled of [true, false]) {
  const what = journaled ? 'with a journal' : 'without a journal';

  transportContract(`RedisTransport ${what}`, { journaled }, () =>
    over(inject('redisUrl'), journaled),
  );

  transportContract(
    `RedisTransport over a client of the application, ${what}`,
    { journaled },
    () => {
      const client = new Redis(inject('redisUrl'));
      onTestFinished(() => client.disconnect());
      return over(client, journaled);
    },
  );
}
