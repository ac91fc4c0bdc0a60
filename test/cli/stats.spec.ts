import { describe, expect, it } from 'vitest';
import { MessageCounter, countsTable } from '../../lib/cli/message-counter.js';
import { readMessage } from '../../lib/cli/received-message.js';
import { liveScreen } from '../../lib/cli/live-screen.js';
import {
  connectRaw,
  startApp,
  uniqueChannel,
  type TestApp,
} from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { wire } from '../subscriber/setup.js';
import {
  json,
  OBEYED,
  patient,
  recordingIo,
  run,
  start,
  withProgram,
} from './program.js';

withProgram();

const on = ({ channel }: TestApp, ...more: string[]): string[] => [
  'stats',
  '--channel',
  channel,
  ...more,
];

async function say({ publisher }: TestApp): Promise<void> {
  await publisher.invalidateUser('1');
  await publisher.invalidateUser('2');
  await publisher.update('User', '2');
  await publisher.invalidateBatch(['user:1', 'post:2', 'post:3']);
  await publisher.invalidatePattern('feed:*');
}

const ROWS = [
  { service: 'one', type: 'User', action: 'Delete', messages: 2, keys: 2 },
  { service: 'one', type: 'User', action: 'Update', messages: 1, keys: 1 },
  { service: 'one', type: 'batch', action: 'Batch', messages: 1, keys: 3 },
  { service: 'one', type: 'pattern', action: 'Pattern', messages: 1, keys: 0 },
];

describe('stats', () => {
  it('counts messages by service, type and action', async () => {
    const app = await startApp({ serviceName: 'one' });
    const stats = start(on(app, '--json', '--interval', '50ms'));
    await stats.listens();
    await say(app);
    await connectRaw().publish(app.channel, 'no message');
    await eventually(
      () =>
        expect(json(stats.lines().at(-1)!)).toMatchObject({
          messages: 5,
          malformed: 1,
          rows: ROWS,
        }),
      patient,
    );
    stats.child.kill('SIGINT');
    expect(await stats.ended).toBe(0);
  });

  it('counts for a time with --for, prints, and exits', async () => {
    const app = await startApp({ serviceName: 'one' });
    const stats = start(on(app, '--for', '5s', '--action', 'delete'));
    await stats.listens();
    await say(app);
    expect(await stats.ended).toBe(0);
    expect(stats.lines()).toEqual([
      'SERVICE  TYPE  ACTION  MESSAGES  PER SECOND  KEYS',
      expect.stringMatching(/^one +User +Delete +2 +0\.\d\d +2$/),
      expect.stringMatching(/^2 messages in 5\.\d s, 0\.\d\d per second$/),
      '',
    ]);
  });

  it('prints a table repeatedly with --interval', async () => {
    const app = await startApp();
    const stats = start(on(app, '--interval', '20ms'));
    const titles = (): number => stats.out().match(/^SERVICE/gm)?.length ?? 0;
    await eventually(() => expect(titles()).toBeGreaterThan(2), patient);
    expect(stats.out()).not.toMatch(OBEYED);
  });

  it('counts messages of the journal with --journal', async () => {
    const app = await startApp({ serviceName: 'one' });
    await say(app);
    const { code, out } = await run(on(app, '--journal', '--json'));
    expect(code).toBe(0);
    expect(json(out)).toMatchObject({ messages: 5, rows: ROWS });
  });

  it('counts each message of several journal pages once', async () => {
    const app = await startApp();
    const ids = Array.from({ length: 2_500 }, (_, id) => id);
    await Promise.all(
      ids.map((id) => app.publisher.invalidateUser(String(id))),
    );
    const journal = await run(on(app, '--journal', '--json'));
    expect(json(journal.out)).toMatchObject({ messages: 2_500 });
    const recent = ['--since', '1h', '--service', 'nobody', '--json'];
    const none = await run(on(app, '--journal', ...recent));
    expect(json(none.out)).toMatchObject({ messages: 0, rows: [] });
  });

  it('counts nothing without a journal', async () => {
    const { code, out } = await run([
      'stats',
      '--journal',
      '--channel',
      uniqueChannel(),
    ]);
    expect(code).toBe(0);
    expect(out).toContain('0 messages in 0.0 s');
  });
});

describe('MessageCounter', () => {
  it('uses bounded memory for any number of names', () => {
    const counter = new MessageCounter(0);
    for (let i = 0; i < 3_000; i++) {
      const name = `\x1b[2J${i}`;
      counter.add(readMessage(wire(i, { source_service: name }), false));
    }
    counter.until(1_000);
    expect(counter.rows).toHaveLength(1_001);
    expect(counter.rows[0]).toMatchObject({
      service: '(others)',
      messages: 2_000,
    });
    const shown = countsTable(counter);
    expect(shown).toContain('and 981 more rows');
    expect(shown).toContain('3000 messages in 1.0 s, 3000.00 per second');
    expect(shown).not.toMatch(OBEYED);
  });
});

describe('stats on a terminal', () => {
  it('replaces the last table', () => {
    const written: string[] = [];
    const io = recordingIo();
    const screen = {
      rows: 4,
      columns: 10,
      write: (text: string) => written.push(text),
    };
    const live = liveScreen({
      ...io,
      screen: screen as unknown as NodeJS.WriteStream,
    });
    live.note('connected');
    live.show('a\nb');
    live.show(`${'c'.repeat(20)}\nd\ne\nf\ng`);
    live.show('h');
    expect(io.lines).toEqual([
      'a\nb\nconnected',
      'ccccccccc\nd\ne',
      'h\nconnected',
    ]);
    expect(written).toEqual(['\x1b[3A\x1b[0J', '\x1b[3A\x1b[0J']);
    expect(io.notes).toEqual([]);
  });
});
