import { Redis } from 'ioredis';
import { inject, onTestFinished } from 'vitest';
import { RedisTransport } from '../../lib/transport/index.js';
import { uniqueChannel } from '../support/app.js';
import {
  transportContract,
  type TransportSetup,
} from './transport.contract.js';

function over(connection: string | Redis): TransportSetup {
  const here = uniqueChannel();
  const elsewhere = uniqueChannel();
  return {
    here: () => new RedisTransport({ connection, channel: here }),
    elsewhere: () => new RedisTransport({ connection, channel: elsewhere }),
  };
}

transportContract('The transport over Redis', () => over(inject('redisUrl')));

transportContract("The transport over a client of the application's", () => {
  const client = new Redis(inject('redisUrl'));
  onTestFinished(() => client.disconnect());
  return over(client);
});
