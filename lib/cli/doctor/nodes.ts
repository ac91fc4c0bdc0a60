import type { Redis } from 'ioredis';
import { nodesOf } from '../../transport/index.js';
import type { RedisLink } from '../redis-link.js';
import { worst, type Finding } from './finding.js';

/** Runs a check on the server, or on every master: the gravest finding, with its node. @internal */
export async function onEach(
  link: RedisLink,
  check: (node: Redis) => Promise<Finding>,
): Promise<Finding> {
  const nodes = nodesOf(link.client, 'master');
  const findings = await Promise.all(
    nodes.map(async (node) => {
      const finding = await check(node);
      const { host, port } = node.options;
      return nodes.length === 1 || finding.status === 'ok'
        ? finding
        : { ...finding, message: `${host}:${port}: ${finding.message}` };
    }),
  );
  const found = worst(findings);
  return nodes.length === 1 || found.status !== 'ok'
    ? found
    : { ...found, message: `${found.message} (${nodes.length} masters)` };
}

/** The fields of a section of INFO. @internal */
export async function infoOf(
  link: RedisLink,
  node: Redis,
  section: string,
): Promise<Map<string, string>> {
  const text = await link.within(`INFO ${section}`, node.info(section));
  return linesOf(text);
}

/** Names and values of lines such as `name:value`. @internal */
export function linesOf(text: string): Map<string, string> {
  const lines = text.split(/\r?\n/).filter((line) => line.includes(':'));
  return new Map(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon), line.slice(colon + 1)];
    }),
  );
}

/**
 * A setting of the server.
 *
 * @throws the error of Redis if CONFIG GET is not allowed
 * @internal
 */
export async function settingOf(
  link: RedisLink,
  node: Redis,
  name: string,
): Promise<string> {
  const reply = await link.within(
    `CONFIG GET ${name}`,
    node.config('GET', name),
  );
  return reply[1] ?? '';
}
