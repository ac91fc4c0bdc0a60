import type { Socket } from 'node:net';
import {
  Cluster,
  Redis,
  type ClusterNode,
  type ClusterOptions,
  type RedisOptions,
} from 'ioredis';
import { withoutArguments } from '../../errors/index.js';
import { reconnectDelay } from '../../common/index.js';
import {
  renewCredentials,
  renewCredentialsOfNode,
  withoutFunctions,
  type RedisCredentials,
} from './redis.credentials.js';

/**
 * ioredis' options. User and password may be functions, which are asked at each
 * connect.
 *
 * @publicApi
 */
export type RedisServerOptions = Omit<RedisOptions, keyof RedisCredentials> &
  RedisCredentials;

/** A Redis Cluster, as ioredis describes one. @publicApi */
export interface ClusterDescription {
  readonly cluster: {
    /** Start-up nodes; the others are found through them. */
    readonly nodes: ClusterNode[];
    readonly options?: Omit<ClusterOptions, 'redisOptions'> & {
      readonly redisOptions?: RedisServerOptions;
    };
  };
}

/**
 * Where Redis is: a URL (`redis:` or `rediss:`), ioredis options (Sentinel
 * included), a cluster, or a client of yours, which only tells where: it is
 * duplicated, and never used or closed.
 *
 * @publicApi
 */
export type RedisConnection =
  string | RedisServerOptions | ClusterDescription | Redis | Cluster;

/** What a closed socket may linger: ioredis' own 2 s would hold up an exit. */
const DISCONNECT_MS = 100;

/**
 * How long each step of an opening may take: to connect, to be ready, to have
 * SUBSCRIBE acknowledged. A link that swallows every byte never says that it is
 * dead.
 */
const OPENING_MS = 3_000;
/** States of a cluster that it leaves at once, unless it has halted there. */
const HALTED = ['disconnecting', 'close'];
const HALTED_MS = 500;
/** How long one Sentinel may take; ioredis waits for ever, and asks no other. */
const SENTINEL_MS = 1_000;

/**
 * Ours to judge, so ioredis must not: its offline queue turns an outage into
 * seconds of latency, and its resending announces twice.
 */
const COMMAND_OPTIONS = {
  lazyConnect: true,
  disconnectTimeout: DISCONNECT_MS,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: null,
  retryStrategy: reconnectDelay,
} satisfies RedisOptions;

/** Where the journal is, for everybody on the channel. */
const COMMON_KEYS = { db: 0, keyPrefix: '' };

/** @internal */
export function isClient(connection: unknown): connection is Redis | Cluster {
  // Not instanceof: the application may hold another copy of ioredis.
  return (
    typeof connection === 'object' &&
    connection !== null &&
    typeof (connection as Redis).duplicate === 'function' &&
    typeof (connection as Redis).pipeline === 'function'
  );
}

/** @internal */
export function isCluster(client: Redis | Cluster): client is Cluster {
  return client.isCluster;
}

/** A client for commands, not connected yet. @internal */
export function openCommands(connection: RedisConnection): Redis | Cluster {
  return open(connection, COMMON_KEYS);
}

/**
 * A client for entries that near caches share, not connected yet: in the
 * database and under the prefix that were asked for, and never the one that
 * invalidations leave by, where a large value would be in their way.
 *
 * @internal
 */
export function openEntries(connection: RedisConnection): Redis | Cluster {
  return open(connection, {});
}

type Keys = { readonly db?: number; readonly keyPrefix?: string };

function open(connection: RedisConnection, keys: Keys): Redis | Cluster {
  if (isClient(connection)) {
    return isCluster(connection)
      ? openDuplicate(connection, keys)
      : watched(
          renewCredentials(
            connection.duplicate({
              ...COMMAND_OPTIONS,
              ...sentinelOptions(connection.options),
              ...keys,
            }),
            () => connection.options,
          ),
        );
  }
  if (typeof connection === 'object' && 'cluster' in connection) {
    const { nodes, options = {} } = connection.cluster;
    return watchedNodes(
      new Cluster(
        nodes,
        clusterOptions(nodes, options as ClusterOptions, keys),
      ),
      () => options.redisOptions ?? {},
    );
  }
  let client: Redis;
  if (typeof connection === 'string') {
    client = new Redis(connection, COMMAND_OPTIONS);
  } else {
    const options = withoutFunctions(connection) as RedisOptions;
    client = renewCredentials(
      new Redis({
        ...options,
        ...COMMAND_OPTIONS,
        ...sentinelOptions(options),
      }),
      () => connection,
    );
  }
  // Here and not in the options, over which a URL wins.
  Object.assign(client.options, keys);
  return watched(client);
}

function openDuplicate(cluster: Cluster, keys: Keys): Cluster {
  const { startupNodes } = cluster as unknown as {
    readonly startupNodes: ClusterNode[];
  };
  return watchedNodes(
    cluster.duplicate([], clusterOptions(startupNodes, cluster.options, keys)),
    () => cluster.options.redisOptions ?? {},
  );
}

/** Whoever gives `tls` means it; ioredis takes it for the master only if told. */
function sentinelOptions(options: RedisOptions): RedisOptions {
  const { sentinels, tls, sentinelTLS = tls } = options;
  if (!sentinels) return {};
  const sentinelCommandTimeout = options.sentinelCommandTimeout ?? SENTINEL_MS;
  return tls && !options.enableTLSForSentinelMode
    ? { sentinelCommandTimeout, enableTLSForSentinelMode: true, sentinelTLS }
    : { sentinelCommandTimeout };
}

function clusterOptions(
  nodes: readonly ClusterNode[],
  options: ClusterOptions,
  {
    keyPrefix = options.keyPrefix || options.redisOptions?.keyPrefix || '',
  }: Keys,
): ClusterOptions {
  const { redisOptions = {} } = options;
  // ioredis reads no scheme of a node's URL.
  const tls = redisOptions.tls ?? (nodes.some(isRediss) ? {} : undefined);
  return {
    ...options,
    keyPrefix,
    lazyConnect: true,
    enableOfflineQueue: false,
    // Sending again is for who knows whether the first try arrived.
    retryDelayOnFailover: 0,
    scaleReads: 'master',
    clusterRetryStrategy: reconnectDelay,
    redisOptions: {
      ...withoutFunctions(redisOptions),
      ...(tls && { tls }),
      // Where the cluster has none ioredis takes this one.
      keyPrefix: '',
      autoResendUnfulfilledCommands: false,
      disconnectTimeout: DISCONNECT_MS,
    },
  };
}

function isRediss(node: ClusterNode): boolean {
  return typeof node === 'string' && node.startsWith('rediss://');
}

function watchedNodes(cluster: Cluster, source: () => object): Cluster {
  cluster.on('+node', (node: Redis) => {
    renewCredentialsOfNode(node, source);
    watched(node);
  });
  return cluster;
}

/** A server or proxy without INFO is never ready for ioredis unless told. */
function watched<C extends Redis>(client: C): C {
  return client.on('error', (error: NodeJS.ErrnoException) => {
    hearFurtherErrors(client);
    if (/unknown command\W+info\b/i.test(error.message)) {
      client.options.enableReadyCheck = false;
    }
    // Its last words are lost where ours crossed them.
    if (client.status === 'connect' && isCutOff(error)) {
      error.message = `the connection was closed before it was answered, as Redis does beyond maxclients and where it expects TLS or a client's certificate (${error.message})`;
    }
  });
}

/**
 * ioredis hears the first error of a socket only. A TLS socket may have two, a bad
 * certificate and the alert of the server, and one that nobody hears ends the
 * process.
 */
function hearFurtherErrors(client: Redis): void {
  const stream = client.stream as Socket | undefined;
  if (stream?.listenerCount('error') === 0) stream.on('error', () => undefined);
}

function isCutOff({ code }: NodeJS.ErrnoException): boolean {
  return code === 'EPIPE' || code === 'ECONNRESET';
}

/**
 * A connection of its own for the subscription, not connected yet. It neither
 * reconnects nor resubscribes by itself: its owner must know the moment at
 * which SUBSCRIBE is acknowledged, and ioredis does not tell.
 *
 * @param owner the node of a cluster to connect to, `host:port`; any if `null`
 * @param name of the connection; as the options say if `null`
 * @returns `null` while a cluster does not know its nodes
 * @internal
 */
export function openSubscription(
  client: Redis | Cluster,
  owner: string | null,
  name: string | null = null,
): Redis | null {
  const at = owner === null ? null : addressFrom(client, owner);
  const source = isCluster(client) ? nodeAt(client, at) : client;
  const connection = source?.duplicate({
    ...at,
    ...(name !== null && { connectionName: name }),
    keyPrefix: '',
    lazyConnect: true,
    disconnectTimeout: DISCONNECT_MS,
    enableOfflineQueue: true,
    autoResubscribe: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: null,
    retryStrategy: () => null,
  });
  return connection ? watched(connection) : null;
}

interface Address {
  readonly host: string;
  readonly port: number;
}

/** As the application reaches it, which may not be what the cluster calls it. */
function addressFrom(client: Redis | Cluster, owner: string): Address {
  const { natMap } = client.options;
  const mapped = typeof natMap === 'function' ? natMap(owner) : natMap?.[owner];
  if (mapped) return mapped;
  const colon = owner.lastIndexOf(':');
  return { host: owner.slice(0, colon), port: Number(owner.slice(colon + 1)) };
}

/** The node there, with its own options; else any, to be led there. */
function nodeAt(cluster: Cluster, at: Address | null): Redis | undefined {
  const nodes = cluster.nodes('all');
  // Classic Pub/Sub reaches every node of a cluster.
  const any = nodes[Math.floor(Math.random() * nodes.length)];
  if (at === null) return any;
  const address = `${at.host}:${at.port}`;
  return nodes.find((node) => addressOf(node) === address) ?? any;
}

/** How long each step of a client's opening may take. @internal */
export function openingTime(client: Redis | Cluster): number {
  if (isCluster(client)) return OPENING_MS;
  const { sentinels, sentinelCommandTimeout = SENTINEL_MS } = client.options;
  return OPENING_MS + (sentinels?.length ?? 0) * sentinelCommandTimeout;
}

/**
 * Connects again where ioredis has given up for good, as it does when it is
 * disconnected while it asks a Sentinel for the master, or as a cluster halts
 * that lost its last node while it was being opened; and gives up an opening that
 * nobody answers, which ioredis never does once it has a socket.
 *
 * @returns what ends that
 * @internal
 */
export function keepOpen(client: Redis | Cluster): () => void {
  let attempt = 0;
  let retry: NodeJS.Timeout | undefined;
  let halt: NodeJS.Timeout | undefined;
  let opening: NodeJS.Timeout | undefined;
  const connect = (): void => {
    // Its errors are told by its 'error' event.
    client.connect().catch(() => undefined);
  };
  const connectIfHalted = (): void => {
    if (!isCluster(client)) return;
    clearTimeout(halt);
    halt = setTimeout(() => {
      if (HALTED.includes(client.status)) connect();
    }, HALTED_MS);
  };
  const listeners = {
    disconnecting: connectIfHalted,
    connecting: () => {
      clearTimeout(opening);
      const giveUp = (): void => client.disconnect(true);
      opening = setTimeout(giveUp, 2 * openingTime(client));
    },
    ready: () => {
      attempt = 0;
      clearTimeout(opening);
    },
    close: () => {
      clearTimeout(opening);
      connectIfHalted();
    },
    end: () => {
      clearTimeout(opening);
      retry = setTimeout(connect, reconnectDelay(attempt++));
    },
  };
  for (const [event, listener] of Object.entries(listeners)) {
    client.on(event, listener);
  }
  return () => {
    for (const [event, listener] of Object.entries(listeners)) {
      client.off(event, listener);
    }
    clearTimeout(retry);
    clearTimeout(halt);
    clearTimeout(opening);
  };
}

/**
 * Begins anew what is open or being opened. In any other state it is about to
 * do so by itself, which ioredis does not let anybody hasten: a second connect()
 * leaves a timer behind that outlives disconnect().
 *
 * @returns whether it did
 * @internal
 */
export function reopen(client: Redis | Cluster): boolean {
  if (!['connecting', 'connect', 'ready'].includes(client.status)) return false;
  // A cluster opens its nodes' connections anew by itself.
  client.disconnect(true);
  return true;
}

/** Whether there is a server to ask: a cluster can be ready with none. @internal */
export function hasNodes(client: Redis | Cluster): boolean {
  return !isCluster(client) || client.nodes('all').length > 0;
}

/** Slots may have moved. @internal */
export function refreshNodes(client: Redis | Cluster): void {
  if (isCluster(client)) client.refreshSlotsCache();
}

/**
 * In a cluster PUBLISH may go to any node, and two nodes may reorder what one
 * publisher said: so always the same one, for as long as it is a master.
 *
 * @internal
 */
export function publishingNode(client: Redis | Cluster): Redis | null {
  if (!isCluster(client)) return client;
  return client
    .nodes('master')
    .reduce<Redis | null>(
      (first, node) =>
        first === null || addressOf(node) < addressOf(first) ? node : first,
      null,
    );
}

function addressOf({ options }: Redis): string {
  return `${options.host}:${options.port}`;
}

/**
 * ioredis hangs the failed command on its errors, and Redis repeats in its own
 * what it was given: the password of AUTH, the payload of PUBLISH. Neither
 * belongs in a log.
 *
 * @internal
 */
export function withoutCommand<E extends Error>(error: E): E {
  const { lastNodeError } = error as { lastNodeError?: Error };
  delete (error as { command?: unknown }).command;
  const message = withoutArguments(error.message);
  if (message !== error.message) {
    error.message = message;
    error.stack = `${error.name}: ${message}`;
  }
  if (lastNodeError !== undefined) withoutCommand(lastNodeError);
  return error;
}
