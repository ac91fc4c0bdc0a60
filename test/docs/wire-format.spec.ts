import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { MessageSigner } from '../../lib/signing/index.js';
import { connectRaw, startApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { describeOnRedisServer, startServer } from '../support/redis-server.js';
import { hasProgram } from '../support/programs.js';
import { root } from './markdown.js';

const page = readFileSync(join(root, 'docs/wire-format.md'), 'utf8');

/** The code block after a mark. */
function marked(name: string): string {
  const block = new RegExp(`<!-- ${name} -->\\s*\`\`\`\\w+\\n([^]*?)\`\`\``);
  return block.exec(page)![1]!;
}

const SCRIPT = marked('script');
const VECTORS = marked('vectors').trim().split('\n');

const message = (id: string): string =>
  JSON.stringify({
    message_id: crypto.randomUUID(),
    entity_type: 'User',
    entity_id: id,
    action: 'Delete',
    timestamp: new Date().toISOString(),
    source_service: 'python-service',
  });

/** Arguments of EVAL, as a publisher in another language passes them. */
const call = (channel: string, id: string, nonce: number) =>
  [
    SCRIPT,
    1,
    `{${channel}}:journal`,
    channel,
    50_000,
    message(id),
    nonce,
  ] as const;

describeOnRedisServer(
  'docs/wire-format.md: the script for other languages',
  () => {
    it('continues the journal of the library, and the library continues its own', async () => {
      const app = await startApp();
      const redis = connectRaw();
      const { offset } = await app.publisher.invalidateUser('own-1');
      const theirs = await redis.eval(
        ...call(app.channel, 'theirs-1', 1_048_575),
      );
      const again = await redis.eval(
        ...call(app.channel, 'theirs-2', 1_048_575),
      );
      await app.publisher.invalidateUser('own-2');
      await eventually(() => expect(app.messages).toHaveLength(4));

      expect(app.messages.map(({ entityId }) => entityId)).toEqual([
        'own-1',
        'theirs-1',
        'theirs-2',
        'own-2',
      ]);
      expect(app.messages[1]).toMatchObject({
        offset: theirs,
        previous: offset,
      });
      expect(app.messages[2]).toMatchObject({
        offset: again,
        previous: theirs,
      });
      expect(app.stats.snapshot()).toMatchObject({ replayed: 0, widened: 0 });
    });

    it('is replayed to an application that was away, and evicts nothing else', async () => {
      const { url } = await startServer();
      const app = await startApp({ connection: url });
      const redis = connectRaw(url);
      await redis.eval(...call(app.channel, 'heard', 1));
      await eventually(() => expect(app.messages).toHaveLength(1));

      await redis
        .multi()
        .call('CLIENT', 'KILL', 'TYPE', 'pubsub')
        .eval(...call(app.channel, 'missed-1', 2))
        .eval(...call(app.channel, 'missed-2', 3))
        .exec();

      await eventually(() => expect(app.messages).toHaveLength(3));
      expect(app.stats.snapshot()).toMatchObject({ replayed: 2, widened: 0 });
    });
  },
);

describe('docs/wire-format.md: the signed messages', () => {
  it('are verified by the library', () => {
    const keys = { '2026-11': Buffer.alloc(32, 1) };
    const signer = MessageSigner.of({ keys }, 'cache:invalidate')!;
    expect(VECTORS.map((payload) => signer.verify(payload))).toEqual([
      null,
      null,
      'bad-mac',
      'bad-seal',
      'bad-seal',
    ]);
  });

  it.runIf(hasProgram('python3'))(
    'are verified by the script in Python',
    () => {
      const { stdout, stderr } = spawnSync(
        'python3',
        [
          '-c',
          `${marked('verify')}
import sys
for line in sys.stdin:
    print(verify(line.rstrip("\\n"), "cache:invalidate", {"2026-11": bytes([1]) * 32}))`,
        ],
        { input: `${VECTORS.join('\n')}\n`, encoding: 'utf8' },
      );
      expect(stderr).toBe('');
      expect(stdout.trim().split('\n')).toEqual([
        'True',
        'True',
        'False',
        'False',
        'False',
      ]);
    },
  );
});
