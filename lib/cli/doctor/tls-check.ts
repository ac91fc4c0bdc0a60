import type { Redis } from 'ioredis';
import {
  fail,
  ok,
  unknown,
  warn,
  type Check,
  type Finding,
} from './finding.js';
import { onEach } from './nodes.js';

const LOOPBACK = /^(?:127\.|::1$|::ffff:127\.)/;

/** The socket in use, whatever the options ask for. */
interface Socket {
  readonly encrypted?: boolean;
  readonly remoteAddress?: string | undefined;
}

/** @internal */
export const TLS_CHECK: Check = {
  name: 'TLS',
  run: (link) => onEach(link, async (node) => judge(node)),
};

function judge(node: Redis): Finding {
  const { stream } = node as unknown as { readonly stream?: Socket | null };
  if (!stream) return unknown('not connected');
  const { password, tls, sentinels, sentinelPassword, sentinelTLS } =
    node.options;
  if (stream.encrypted === true) {
    return sentinels && sentinelPassword && !sentinelTLS
      ? warn(
          'yes, but not to the Sentinels, which get their password in the clear',
          'Give sentinelTLS.',
        )
      : ok('yes');
  }
  if (tls)
    return fail(
      'no, although the options ask for it',
      'Check the proxy between.',
    );
  const { remoteAddress } = stream;
  const isNear = remoteAddress === undefined || LOOPBACK.test(remoteAddress);
  return password && !isNear
    ? warn(
        'no: the password goes over the network in the clear',
        'Let Redis speak TLS (tls-port), and give a rediss: URL.',
      )
    : ok('no');
}
