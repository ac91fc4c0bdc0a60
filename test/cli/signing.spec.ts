import { describe, expect, it } from 'vitest';
import { encodeMessage, entity, Instance } from '../../lib/message/index.js';
import { connectRaw, said, startApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { NEW, signing, STRANGE } from '../signing/keys.js';
import { json, run, start, withProgram } from './program.js';

withProgram();

const env = { CACHE_INVALIDATION_SIGNING_KEYS: `new:${NEW}` };

describe('the command, with keys in the environment', () => {
  it.each([[], ['--no-journal']])(
    'publishes signed messages %s',
    async (...flags) => {
      const app = await startApp({ signing: signing() });
      const { channel } = app;
      const words = ['publish', 'User', '7', '--yes', '--channel', channel];
      expect(await run([...words, ...flags], { env })).toMatchObject({
        code: 0,
      });
      await eventually(() =>
        expect(app.messages.map(said)).toEqual(['User:7']),
      );
      const other = { CACHE_INVALIDATION_SIGNING_KEYS: `new:${STRANGE}` };
      await run([...words, '--no-journal'], { env: other });
      await eventually(() => expect(app.stats.snapshot().unverified).toBe(1));
    },
  );

  it('marks messages that services do not obey', async () => {
    const app = await startApp({ signing: signing() });
    const { channel } = app;
    const tail = start(
      ['tail', '--json', '--count', '2', '--channel', channel],
      { env },
    );
    await tail.listens();
    await app.publisher.invalidate('User', 1);
    const forged = new Instance('attacker').stamp(entity('User', '2'));
    await connectRaw().publish(channel, encodeMessage(forged, Infinity));
    expect(await tail.ended).toBe(0);
    const [genuine, unsigned] = tail.lines().map(json);
    expect(genuine).toMatchObject({ entity_id: '1', kid: 'new' });
    expect(genuine).not.toHaveProperty('unverified');
    expect(unsigned).toMatchObject({ entity_id: '2', unverified: 'unsigned' });
  });

  it('verifies the journal in doctor', async () => {
    const app = await startApp({ signing: signing() });
    const { channel } = app;
    const doctor = async (keys?: string): Promise<unknown> => {
      const report = await run(['doctor', '--json', '--channel', channel], {
        env: { CACHE_INVALIDATION_SIGNING_KEYS: keys },
      });
      const { checks } = json(report.out) as {
        checks: { name: string }[];
      };
      return checks.find(({ name }) => name === 'signatures');
    };
    const nothing = { message: 'there is no message to verify' };
    expect(await doctor()).toMatchObject(nothing);
    expect(await doctor(`new:${NEW}`)).toMatchObject(nothing);
    await app.publisher.invalidate('User', 1);
    expect(await doctor()).toMatchObject({
      status: 'unknown',
      message: expect.stringMatching(/^1 of the last 1 messages are signed/),
    });
    expect(await doctor(`new:${NEW}`)).toMatchObject({
      status: 'ok',
      message: 'verified: the last 1 messages',
    });
    expect(await doctor(`other:${NEW}`)).toMatchObject({
      status: 'warn',
      message: '1 of the last 1 messages are not obeyed: unknown-key 1',
    });
  });

  it('refuses keys that it cannot read, without printing them', async () => {
    const wrong = { CACHE_INVALIDATION_SIGNING_KEYS: 'new:c2hvcnQ=' };
    const { code, err } = await run(['doctor'], { env: wrong });
    expect(code).toBe(2);
    expect(err).toMatch(
      /CACHE_INVALIDATION_SIGNING_KEYS, or _ACCEPT, cannot be read/,
    );
    expect(err).not.toContain('c2hvcnQ=');
  });
});
