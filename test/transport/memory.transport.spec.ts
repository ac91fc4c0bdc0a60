import { InMemoryChannel, MemoryTransport } from '../../lib/transport/index.js';
import { transportContract } from './transport.contract.js';

transportContract('MemoryTransport', { journaled: true }, () => {
  const here = new InMemoryChannel();
  const elsewhere = new InMemoryChannel();
  return {
    here: () => new MemoryTransport(here),
    elsewhere: () => new MemoryTransport(elsewhere),
  };
});
