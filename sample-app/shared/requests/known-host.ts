import { ForbiddenException } from '@nestjs/common';
import type { IncomingMessage } from 'node:http';

/** Names by which this machine reaches itself. */
const LOCAL = ['localhost', '127.0.0.1', '[::1]'];
const HTTP_PORT = 80;

/**
 * Whether a request names a host of this service. A page of a foreign name whose
 * DNS entry was pointed at this machine (DNS rebinding) sends that name.
 *
 * @throws ForbiddenException for any other host
 */
export function checkHost({ headers, socket }: IncomingMessage): void {
  const host = headers.host?.toLowerCase() ?? '';
  const port = socket.localPort;
  const known = [
    ...LOCAL.map((name) => `${name}:${port}`),
    // A browser leaves out the default port.
    ...(port === HTTP_PORT ? LOCAL : []),
    ...namedHosts(),
  ];
  if (known.includes(host)) return;
  throw new ForbiddenException(
    'This service is not reached by that host name. Use localhost with its port, or add the name to SAMPLE_APP_HOSTS.',
  );
}

/** Hosts of a deployment: `demo.example:8080,demo.example`. */
function namedHosts(): string[] {
  return (process.env['SAMPLE_APP_HOSTS'] ?? '')
    .split(',')
    .map((host) => host.trim().toLowerCase())
    .filter((host) => host !== '');
}
