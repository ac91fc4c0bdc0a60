import type { Redis } from 'ioredis';
import { withDeadline } from '../../common/index.js';
import { internalsOf } from './client-internals.js';

/**
 * A user's name or password, or a function that returns it. The function is called
 * each time a connection is opened, for tokens that expire and rotated passwords.
 *
 * @publicApi
 */
export type RedisCredential = string | (() => string | Promise<string>);

/** Credentials of the server, and of its Sentinels. @publicApi */
export interface RedisCredentials {
  /** The user's name; `default` if it is not given. */
  readonly username?: RedisCredential | undefined;
  readonly password?: RedisCredential | undefined;
  readonly sentinelUsername?: RedisCredential | undefined;
  readonly sentinelPassword?: RedisCredential | undefined;
}

/** Milliseconds that such a function may take: the connection waits for it. */
const ANSWER_MS = 3_000;

const NAMES = [
  'username',
  'password',
  'sentinelUsername',
  'sentinelPassword',
] as const;

/** Returns the options that hold the credentials; called at each connect. @internal */
export type CredentialSource = () => object;

/** Whether all credentials in the options are of a usable type. @internal */
export function areCredentials(given: object): boolean {
  const credentials = given as Record<string, unknown>;
  return NAMES.every((name) => {
    const value = credentials[name];
    return (
      value === undefined ||
      value === null ||
      typeof value === 'string' ||
      typeof value === 'function'
    );
  });
}

/** A copy of the options without functions, which ioredis would send as text. @internal */
export function withoutFunctions<T extends object>(options: T): T {
  const rest = { ...options } as Record<string, unknown>;
  for (const name of NAMES) {
    if (typeof rest[name] === 'function') delete rest[name];
  }
  return rest as T;
}

/**
 * Makes the client, and each duplicate of it, read its credentials at every connect.
 * ioredis itself copies them once.
 *
 * @internal
 */
export function renewCredentials<C extends Redis>(
  client: C,
  source: CredentialSource,
): C {
  const { connector } = internalsOf(client);
  const connect = connector.connect.bind(connector);
  connector.connect = async (emit) => {
    connector.connecting = true;
    await renew(client, source);
    // The client was disconnected meanwhile, which ioredis notices only below.
    if (!connector.connecting) throw new Error('Connection is closed.');
    return connect(emit);
  };
  const duplicate = client.duplicate.bind(client);
  client.duplicate = (override) =>
    renewCredentials(duplicate(override), source);
  return client;
}

/** For a node of a cluster: the subscription may copy its options before it connects. @internal */
export function renewCredentialsOfNode(
  node: Redis,
  source: CredentialSource,
): void {
  renewCredentials(node, source);
  // A failure is reported when the node connects.
  renew(node, source).catch(() => undefined);
}

async function renew(client: Redis, source: CredentialSource): Promise<void> {
  const given = source() as Record<string, unknown>;
  const options = client.options as Record<string, unknown>;
  for (const name of NAMES) {
    const value = given[name];
    if (value === undefined || value === null) continue;
    options[name] =
      typeof value === 'function' ? await call(name, value) : value;
  }
  const { condition } = internalsOf(client);
  if (!condition) return;
  const { username, password } = options;
  condition.auth = username ? [username, password] : password;
}

/**
 * Calls a function for a credential.
 *
 * @throws Error with the function's own error as its cause
 */
async function call(name: string, credential: Function): Promise<string> {
  try {
    const answer: unknown = await withDeadline(
      ANSWER_MS,
      // A function that throws rejects, and one may return no promise.
      Promise.resolve().then(() => credential() as unknown),
      () => new Error(`no answer within ${ANSWER_MS} ms`),
    );
    if (typeof answer === 'string') return answer;
    throw new Error('it returned no text');
  } catch (error) {
    const { message } = error as Error;
    throw new Error(
      `The function for the ${name} of Redis failed: ${message}`,
      { cause: error },
    );
  }
}
