import { BLANK_MESSAGE } from './blank-message.js';
import { copyText } from './copy-text.js';
import { readEntityType } from './exactness.js';
import type { InvalidationMessage } from './invalidation-message.js';
import { isTimestamp } from './timestamp.js';
import { isPath, isRegion } from './region.js';
import { isText, isUuid } from './wire-rules.js';

/** A text without escapes and control characters: equal to its JSON. */
const TEXT = '([^"\\\\\\x00-\\x1f]*)';
/** A text of which the message keeps nothing. */
const IGNORED = TEXT.replace('(', '(?:');

/**
 * A message about one entity, without metadata, trace or position, byte for byte as
 * `encodeMessage` and the publish script write it, and as a service in another
 * language does that keeps the order of the fields.
 */
const ENTITY_MESSAGE = new RegExp(
  [
    `^\\{"message_id":"${TEXT}"`,
    `"entity_type":(?:"${TEXT}"|\\{"Custom":"${TEXT}"\\})`,
    `"entity_id":"${TEXT}"`,
    '"pattern":null',
    '"entity_ids":null',
    '"action":"(Delete|Update)"',
    `"timestamp":"${TEXT}"`,
    `"source_service":"${TEXT}"`,
    '"metadata":null',
  ].join(',') +
    `(?:,"region":"${TEXT}")?` +
    '(?:,"path":\\[((?:"[\\w.-]+",?)+)\\])?' +
    `(?:,"kid":"${IGNORED}","mac":"${IGNORED}")?` +
    `(?:,"offset":"${TEXT}","previous":"${TEXT}"(?:,"seal":"${IGNORED}")?)?` +
    `(?:,"origin":"${TEXT}")?\\}$`,
);

/** A longer payload is left to `JSON.parse`, since one that fails to match is read twice. */
const MATCHED_LENGTH = 4_096;

/**
 * Decodes the usual message in two thirds of the time of `JSON.parse`, exactly as the
 * general decoder does.
 *
 * @returns `null` for a payload that only the general decoder can judge
 * @internal
 */
export function decodeEntityMessage(
  payload: string,
): InvalidationMessage | null {
  if (payload.length > MATCHED_LENGTH) return null;
  const match = ENTITY_MESSAGE.exec(payload);
  if (match === null) return null;
  const messageId = match[1]!;
  const custom = match[3];
  const entityId = match[4]!;
  const timestamp = match[6]!;
  const region = match[8];
  const path = match[9]?.slice(1, -1).split('","') ?? null;
  const entityType = readEntityType(
    custom === undefined ? match[2] : { Custom: custom },
  );
  // Such a message is refused or widened.
  if (
    entityType === null ||
    entityId === '' ||
    (custom !== undefined && !isText(custom)) ||
    !isUuid(messageId) ||
    !isTimestamp(timestamp) ||
    (region !== undefined && !isRegion(region)) ||
    (path !== null && !isPath(path))
  ) {
    return null;
  }
  return {
    ...BLANK_MESSAGE,
    // Handlers may keep ids and offsets.
    messageId: copyText(messageId),
    action: match[5] as 'Delete' | 'Update',
    entityType,
    entityId: copyText(entityId),
    timestamp,
    sourceService: match[7]!,
    origin: match[12] ?? null,
    offset: match[10] === undefined ? null : copyText(match[10]),
    previous: match[11] ?? null,
    region: region ?? null,
    path: path && Object.freeze(path),
  };
}
