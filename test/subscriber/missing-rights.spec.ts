import { describe, expect, it, vi } from 'vitest';
import { InvalidationConfigurationError } from '../../lib/errors/index.js';
import { missingRights } from '../../lib/subscriber/missing-rights.js';
import { ScriptedTransport } from '../support/scripted.transport.js';
import { stopTime } from './clock.js';

const OPTIONS = {
  heartbeatTimeout: 20,
  connection: 'redis://localhost',
  channel: 'things',
  sharded: false,
};

describe('missingRights()', () => {
  it('is an error with every right that is missing, and what to do', async () => {
    const transport = new ScriptedTransport();
    transport.missing = ['XADD', 'TIME'];
    const fix =
      'Grant it (ACL SETUSER), or switch the journal off (journal: false) if it is about the journal.';
    expect(await missingRights(transport, OPTIONS)).toEqual(
      new InvalidationConfigurationError(
        'The user of the Redis connection lacks rights:',
        [
          { field: 'XADD', problem: 'not allowed.', fix },
          { field: 'TIME', problem: 'not allowed.', fix },
        ],
        '\nThe rule for role "both" on Redis 7.0: clearselectors resetkeys resetchannels -@all +ping +info +client|setname +time +eval +evalsha +xadd +xinfo|stream +xrange +xrevrange +publish +subscribe ~{things}:journal &things. "nestjs-cache-invalidation doctor --acl" prints it for other versions, and with near caches in Redis.',
      ),
    );
  });

  it('is null where no right is missing', async () => {
    expect(await missingRights(new ScriptedTransport(), OPTIONS)).toBeNull();
  });

  it('is null, and asks nothing, while Redis is away', async () => {
    const transport = new ScriptedTransport();
    transport.missing = ['XADD'];
    transport.writable = false;
    expect(await missingRights(transport, OPTIONS)).toBeNull();
  });

  it('is null where Redis does not answer in time', async () => {
    stopTime();
    const transport = new ScriptedTransport();
    const asked = vi
      .spyOn(transport, 'missingRights')
      .mockReturnValue(new Promise(() => undefined));
    const missing = missingRights(transport, OPTIONS);
    await vi.advanceTimersByTimeAsync(20);
    expect(await missing).toBeNull();
    expect(asked).toHaveBeenCalledTimes(1);
  });
});
