import { Allow, IsOptional, ValidateBy } from '../common/index.js';
import { isTimestamp } from './timestamp.js';
import { isTextList, isText, isUuid, isWireEntityType } from './wire-rules.js';

/**
 * The wire format for class-validator: for controllers that accept messages
 * over HTTP through Nest's `ValidationPipe`. It accepts and refuses what
 * `parseMessage` does; hand the validated body to `parseMessage` for the
 * message. (Not used on the channel, where it would cost twelve times as much
 * as the parse itself.)
 *
 * @publicApi
 */
export class InvalidationMessageDto {
  @Rule((value) => isUuid(value) && isText(value), 'a UUID')
  message_id!: string;

  @Rule(isWireEntityType, 'a name or {"Custom": name}')
  entity_type!: string | { Custom: string };

  @IsOptional()
  @Rule(isText, 'a string or null')
  entity_id?: string | null;

  @IsOptional()
  @Rule(isText, 'a string or null')
  pattern?: string | null;

  @IsOptional()
  @Rule(isTextList, 'an array of cache keys or null')
  entity_ids?: string[] | null;

  @Rule(isText, 'a string')
  action!: string;

  @Rule(isTimestamp, 'RFC 3339')
  timestamp!: string;

  @Rule(isText, 'a string')
  source_service!: string;

  @Allow()
  metadata?: unknown;

  @Allow()
  origin?: unknown;

  @Allow()
  offset?: unknown;

  @Allow()
  previous?: unknown;

  @Allow()
  kid?: unknown;

  @Allow()
  mac?: unknown;

  @Allow()
  seal?: unknown;

  @Allow()
  trace?: unknown;

  @Allow()
  at?: unknown;

  @Allow()
  region?: unknown;

  @Allow()
  path?: unknown;
}

function Rule(
  validate: (value: unknown) => boolean,
  expected: string,
): PropertyDecorator {
  return ValidateBy({
    name: 'invalidationMessage',
    validator: {
      validate,
      defaultMessage: (args) => `${args?.property} must be ${expected}`,
    },
  });
}
