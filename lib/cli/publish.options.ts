import { Option } from 'commander';
import {
  batch,
  entity,
  everything,
  isMatchAll,
  pattern,
  type Invalidation,
} from '../message/index.js';
import { UsageError } from './usage.error.js';

/** Options of `publish`. @internal */
export interface PublishValues {
  readonly update?: boolean;
  readonly batch?: boolean;
  readonly pattern?: string;
  readonly all?: boolean;
  readonly yes?: boolean;
  readonly service?: string;
  readonly metadata?: string;
  /** `false` for --no-journal. */
  readonly journal?: boolean;
  readonly dryRun?: boolean;
}

/** @internal */
export const publishOptions = (): Option[] => [
  new Option('--update', 'publish an Update in place of a Delete'),
  new Option('--batch', 'the words are cache keys'),
  new Option(
    '--pattern <glob>',
    "invalidate every key that it matches, such as 'feed:42:*'",
  ),
  new Option('--all', 'invalidate every key of every cache'),
  new Option('--yes', 'confirm --all, or a type that nobody has published'),
  new Option('--service <name>', 'name of the source service (cli)'),
  new Option('--metadata <json>', 'metadata of the message'),
  new Option('--no-journal', 'for services that keep none (journal: false)'),
  new Option('--dry-run', 'print the message, and do not publish it'),
];

/**
 * The invalidation that the command line describes.
 *
 * @throws UsageError or InvalidMessageError if it describes none.
 * @internal
 */
export function invalidationFrom(
  values: PublishValues,
  words: readonly string[],
): Invalidation {
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
  if (type === undefined || id === undefined) {
    throw new UsageError('Give an entity type and an id.', 'Such as User 123.');
  }
  if (more.length > 0) {
    throw new UsageError(
      more.length === 1
        ? 'There is a word too many.'
        : `There are ${more.length} words too many.`,
      'Give one entity type and one id; for several entities take --batch.',
    );
  }
  return entity(type, id, {
    metadata,
    action: values.update ? 'Update' : 'Delete',
  });
}

function coarse(
  glob: string | undefined,
  metadata: unknown,
  { yes }: PublishValues,
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

function metadataFrom({ metadata }: PublishValues): unknown {
  if (metadata === undefined) return null;
  try {
    return JSON.parse(metadata) as unknown;
  } catch {
    throw new UsageError('--metadata is not JSON.');
  }
}
