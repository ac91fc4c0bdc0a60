import {
  batch,
  entity,
  everything,
  isMatchAll,
  pattern,
  type Invalidation,
} from '../message/index.js';
import type { CliCall, CliOptions, CliValues } from './command.js';
import { UsageError } from './usage.error.js';

/** What is said, and how. @internal */
export const PUBLISH_OPTIONS = {
  update: {
    type: 'boolean',
    about: '"changed, you may refresh" in place of "deleted"',
  },
  batch: { type: 'boolean', about: 'the words are cache keys' },
  pattern: {
    type: 'string',
    value: 'GLOB',
    about: "every key that it matches, such as 'feed:42:*'",
  },
  all: { type: 'boolean', about: 'every key of every cache' },
  yes: { type: 'boolean', about: 'that is meant' },
  service: {
    type: 'string',
    value: 'NAME',
    about: 'who says it (cli)',
  },
  metadata: { type: 'string', value: 'JSON', about: 'to go with it' },
  'no-journal': {
    type: 'boolean',
    about: 'for services that keep none (journal: false)',
  },
  'dry-run': { type: 'boolean', about: 'print the message, and do no more' },
} as const satisfies CliOptions;

type Values = CliValues<typeof PUBLISH_OPTIONS>;

/**
 * What the command line says has changed.
 *
 * @throws UsageError or InvalidMessageError if it says nothing that could have.
 * @internal
 */
export function invalidationFrom({
  values,
  words,
}: CliCall<typeof PUBLISH_OPTIONS>): Invalidation {
  const metadata = metadataFrom(values);
  const { all, pattern: glob, batch: isBatch } = values;
  if ([all, isBatch, glob !== undefined].filter(Boolean).length > 1) {
    throw new UsageError('--all, --batch and --pattern exclude each other.');
  }
  if ((all || isBatch || glob !== undefined) && values.update) {
    throw new UsageError('--update is for one entity.');
  }
  if (isBatch) {
    if (words.length > 0) return batch(words, metadata);
    throw new UsageError('--batch needs cache keys.', 'Such as user:1 user:2.');
  }
  if (all || glob !== undefined) {
    if (words.length > 0) throw new UsageError('There are words too many.');
    return coarse(glob, metadata, values);
  }
  const [type, id, ...more] = words;
  if (type === undefined || id === undefined || more.length > 0) {
    throw new UsageError('Give an entity type and an id.', 'Such as User 123.');
  }
  return entity(type, id, {
    metadata,
    action: values.update ? 'Update' : 'Delete',
  });
}

function coarse(
  glob: string | undefined,
  metadata: unknown,
  { yes }: Values,
): Invalidation {
  if (glob !== undefined) {
    if (!isMatchAll(glob)) return pattern(glob, metadata);
    throw new UsageError(
      'That pattern matches every key of every cache.',
      'If that is meant, say --all --yes.',
    );
  }
  if (yes) return everything(metadata);
  throw new UsageError(
    '--all empties every cache of every service on the channel.',
    'If that is meant, add --yes.',
  );
}

function metadataFrom({ metadata }: Values): unknown {
  if (metadata === undefined) return null;
  try {
    return JSON.parse(metadata) as unknown;
  } catch {
    throw new UsageError('--metadata is not JSON.');
  }
}
