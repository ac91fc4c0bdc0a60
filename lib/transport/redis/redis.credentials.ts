import type { Redis } from 'ioredis';

/**
 * A user's name or password, or a function that tells today's: it is asked each
 * time a connection is opened, as tokens that expire and rotated passwords need.
 *
 * @publicApi
 */
export type RedisCredential = string | (() => string | Promise<string>);

/** Those of the server, and those of its Sentinels. @publicApi */
export interface RedisCredentials {
  /** Of the user, where it is not `default`. */
  readonly username?: RedisCredential | undefined;
  readonly password?: RedisCredential | undefined;
  readonly sentinelUsername?: RedisCredential | undefined;
  readonly sentinelPassword?: RedisCredential | undefined;
}

/** How long such a function may take: while it is asked nothing connects. */
const ANSWER_MS = 3_000;

const NAMES = [
  'username',
  'password',
  'sentinelUsername',
  'sentinelPassword',
] as const;

/** Where the credentials of today stand; read at each connect. @internal */
export type CredentialSource = () => object;

/** What of ioredis is no public name of it, in versions 5 and 6 alike. */
interface Inside {
  readonly connector: {
    connecting: boolean;
    connect(emit: unknown): Promise<unknown>;
  };
  /** Made when a connection begins, before the connector is asked. */
  readonly condition?: { auth?: unknown } | null;
}

/** Whether ioredis can be given these. @internal */
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

/** The same options without the functions, which ioredis would send. @internal */
export function withoutFunctions<T extends object>(options: T): T {
  const rest = { ...options } as Record<string, unknown>;
  for (const name of NAMES) {
    if (typeof rest[name] === 'function') delete rest[name];
  }
  return rest as T;
}

/**
 * From now on the client, and each duplicate of it, asks for its credentials
 * whenever it connects. ioredis itself copies them once.
 *
 * @internal
 */
export function renewCredentials<C extends Redis>(
  client: C,
  source: CredentialSource,
): C {
  const { connector } = client as unknown as Inside;
  const connect = connector.connect.bind(connector);
  connector.connect = async (emit) => {
    connector.connecting = true;
    await renew(client, source);
    // It was disconnected meanwhile, which ioredis knows of only from here on.
    if (!connector.connecting) throw new Error('Connection is closed.');
    return connect(emit);
  };
  const duplicate = client.duplicate.bind(client);
  client.duplicate = (override) =>
    renewCredentials(duplicate(override), source);
  return client;
}

/** A node of a cluster is copied from before it has connected for itself. @internal */
export function renewCredentialsOfNode(
  node: Redis,
  source: CredentialSource,
): void {
  renewCredentials(node, source);
  // Who needs them and has none tells of it when it connects.
  renew(node, source).catch(() => undefined);
}

async function renew(client: Redis, source: CredentialSource): Promise<void> {
  const given = source() as Record<string, unknown>;
  const options = client.options as Record<string, unknown>;
  for (const name of NAMES) {
    const value = given[name];
    if (value === undefined || value === null) continue;
    options[name] =
      typeof value === 'function' ? await ask(name, value) : value;
  }
  const { condition } = client as unknown as Inside;
  if (!condition) return;
  const { username, password } = options;
  condition.auth = username ? [username, password] : password;
}

/** Its own error may quote a secret, and is the application's to log. */
async function ask(name: string, tell: Function): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = new Error(`no answer within ${ANSWER_MS} ms`);
    timer = setTimeout(() => reject(error), ANSWER_MS);
  });
  try {
    const answer: unknown = await Promise.race([tell(), late]);
    if (typeof answer === 'string') return answer;
    throw new Error('it gave no text');
  } catch (error) {
    const { message } = error as Error;
    throw new Error(
      `The function for the ${name} of Redis failed: ${message}`,
      { cause: error },
    );
  } finally {
    clearTimeout(timer);
  }
}
