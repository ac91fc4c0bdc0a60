import { describeCause, InvalidationRedisError } from '../errors/index.js';
import {
  encodeMessage,
  Instance,
  type Invalidation,
  type InvalidationMessage,
} from '../message/index.js';
import { isCluster, RedisChannel, type Published } from '../transport/index.js';
import type { CliCommand } from './command.js';
import type { Io } from './io.js';
import { journalState } from './journal-state.js';
import { unseenTypes } from './unseen-types.js';
import {
  invalidationFrom,
  publishOptions,
  type PublishValues,
} from './publish.options.js';
import { LEAST_KEPT, withLink, type RedisLink } from './redis-link.js';
import { targetFrom } from './target.js';
import { UsageError } from './usage.error.js';
import { jsonLine, visible } from './visible.js';

/** The default maximum of the services. */
const MAX_BYTES = 4_194_304;

interface Receipt extends Published {
  readonly status: 'delivered';
  readonly messageId: string;
  /** Whether the receivers are those of one node: PUBLISH in a cluster counts no others. */
  readonly oneNode: boolean;
}

const NOTES = `
The message is published as a service's messages are, and journaled too, so that
instances that are away read it later. The exit code is 1 if Redis did not take
it. A type that is neither built in nor in the recent journal may be a typing
error: the command asks first, or needs --yes without a terminal.`;

/** Publishes an invalidation by hand. @internal */
export const publish: CliCommand<PublishValues> = {
  define(command) {
    command
      .usage(
        `User 123 [--update]
       … publish --batch user:1 post:2
       … publish --pattern 'feed:42:*'
       … publish --all --yes`,
      )
      .argument('[words...]', 'an entity type and an id, or cache keys');
    for (const option of publishOptions()) command.addOption(option);
    command.addHelpText('after', NOTES);
  },
  async run(values, words, io) {
    const target = targetFrom(values, io.env);
    const invalidation = invalidationFrom(values, words);
    const instance = new Instance(values.service || 'cli');
    const draft = encodeMessage(instance.stamp(invalidation), MAX_BYTES);
    if (values.dryRun) {
      io.out(draft);
      return 0;
    }
    // Stamped again: connecting takes longer than delivering.
    const receipt = await withLink(target, async (link) => {
      if (!values.yes && !(await isMeant(link, invalidation, io))) return null;
      const message = instance.stamp(invalidation);
      return send(link, message, values.journal !== false);
    });
    if (receipt === null) return 1;
    io.out(values.json ? jsonLine(receipt) : text(receipt));
    if (receipt.receivers === 0 && !receipt.oneNode) {
      io.note(
        `Nobody listens on ${visible(target.channel)} now: is it the services' channel?`,
      );
    }
    return 0;
  },
};

/** @throws UsageError without a terminal to ask on. */
async function isMeant(
  link: RedisLink,
  invalidation: Invalidation,
  { ask }: Io,
): Promise<boolean> {
  const unseen = (await unseenTypes(link, invalidation)).map((type) =>
    visible(type, 60),
  );
  if (unseen.length === 0) return true;
  const what = `Nobody has published ${unseen.slice(0, 10).join(', ')} lately.`;
  if (ask !== null) return ask(`${what} Publish it all the same?`);
  throw new UsageError(what, 'If that is meant, add --yes.');
}

async function send(
  link: RedisLink,
  message: InvalidationMessage,
  journaled: boolean,
): Promise<Receipt> {
  const { messageId } = message;
  const payload = encodeMessage(message, MAX_BYTES);
  const oneNode = isCluster(link.client) && !link.target.sharded;
  try {
    const published = await (journaled ? journal : publishOnly)(link, payload);
    return { status: 'delivered', messageId, ...published, oneNode };
  } catch (error) {
    throw new InvalidationRedisError(
      `Redis did not take it: ${describeCause(error as Error)}.`,
      'Run doctor; then publish it again, which does no harm if it was delivered.',
      error,
    );
  }
}

async function journal(link: RedisLink, payload: string): Promise<Published> {
  // The services set the journal's length, so nothing that they keep is trimmed here.
  const { length = 0 } = (await journalState(link)) ?? {};
  const keeping = link.journalKeeping(Math.max(length, LEAST_KEPT));
  const [published] = await link.within(
    'a publish',
    keeping.publish([payload], null, 0),
  );
  return published!;
}

async function publishOnly(
  link: RedisLink,
  payload: string,
): Promise<Published> {
  const channel = new RedisChannel(link.client, link.target, link.signer);
  const [reply] = await link.within('a publish', channel.publish([payload]));
  if (reply instanceof Error) throw reply;
  return reply!;
}

function text({ messageId, offset, receivers, oneNode }: Receipt): string {
  return [
    `delivered  ${messageId}`,
    `offset     ${offset ?? 'none: not in the journal'}`,
    `receivers  ${receivers}${oneNode ? ' on one node of the cluster' : ''}`,
  ].join('\n');
}
