import type { Socket } from 'node:net';
import type { Redis } from 'ioredis';
import { withoutArguments } from '../../errors/index.js';
import { internalsOf } from './client-internals.js';

const UNANSWERED =
  "the connection was closed before it was answered, as Redis does beyond maxclients and where it expects TLS or a client's certificate";

/**
 * Handles errors of a connection that ioredis leaves open: further errors of one
 * socket, servers without INFO, and sockets that are closed without a reason.
 *
 * @internal
 */
export function watchErrors<C extends Redis>(client: C): C {
  let isUnexplained = false;
  return client
    .on('connect', () => (isUnexplained = true))
    .on('ready', () => (isUnexplained = false))
    .on('close', () => {
      if (isUnexplained && isWanted(client)) {
        client.emit('error', new Error(UNANSWERED));
      }
    })
    .on('error', (error: NodeJS.ErrnoException) => {
      isUnexplained = false;
      ignoreFurtherErrors(client);
      // ioredis is never ready on a server or proxy without INFO unless told so.
      if (/unknown command\W+info\b/i.test(error.message)) {
        client.options.enableReadyCheck = false;
      }
      // The server's reason is lost if our first command crossed it.
      if (client.status === 'connect' && isCutOff(error)) {
        error.message = `${UNANSWERED} (${error.message})`;
      }
    });
}

/** Whether nobody has told the client to disconnect. */
function isWanted(client: Redis): boolean {
  return internalsOf(client).connector.connecting;
}

/**
 * ioredis listens for the first error of a socket only. A TLS socket may have two,
 * a bad certificate and the alert of the server, and an error without a listener
 * ends the process.
 */
function ignoreFurtherErrors(client: Redis): void {
  const stream = client.stream as Socket | undefined;
  if (stream?.listenerCount('error') === 0) stream.on('error', () => undefined);
}

function isCutOff({ code }: NodeJS.ErrnoException): boolean {
  return code === 'EPIPE' || code === 'ECONNRESET';
}

/**
 * Removes the command from an error: ioredis attaches it, and Redis repeats its
 * arguments in the message. The password of AUTH and the payload of PUBLISH do
 * not belong in a log.
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
