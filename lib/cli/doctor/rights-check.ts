import type { InvalidationRole } from '../../common/index.js';
import { aclUsers, missingRights, topologyOf } from '../../transport/index.js';
import type { RedisLink } from '../redis-link.js';
import type { RegionSettings, SourceSettings } from '../region-settings.js';
import { visible } from '../visible.js';
import { fail, ok, warn, type Check } from './finding.js';

/**
 * Whether the user has the rights that a role needs, and those of relays.
 *
 * @internal
 */
export function rightsOf(
  role: InvalidationRole,
  regions: RegionSettings | null,
): Check {
  return {
    name: 'rights',
    async run(link) {
      const { client, journal, target } = link;
      const lacking = (sources: readonly SourceSettings[]): Promise<string[]> =>
        link.within(
          'a query of rights',
          missingRights(client, journal.key, {
            ...target,
            role,
            regions: {
              sources: Object.fromEntries(
                sources.map(({ name }) => [name, { connection: true }]),
              ),
            },
          }),
        );
      const [missing, all, user] = await Promise.all([
        lacking([]),
        lacking(regions?.sources ?? []),
        userOf(link),
      ]);
      const name = `user ${visible(user ?? 'unknown')}`;
      if (missing.length === 0 && all.length > 0) {
        return warn(
          `${name} lacks ${all.join(', ')}, which relays of other regions need`,
          'Grant them to the user of those that relay: doctor --acl --regions prints the rule.',
        );
      }
      if (missing.length === 0) {
        return ok(`${name} has the rights that role ${role} needs`);
      }
      const topology = topologyOf(target.connection);
      const [needed] = aclUsers({ ...target, role, topology });
      return fail(
        `${name} lacks ${missing.join(', ')}`,
        `ACL SETUSER with ${visible(needed!.rules.join(' '), 1_000)} (doctor --acl prints it for your version of Redis)`,
      );
    },
  };
}

/** The name of the connected user; `null` without the right to ACL WHOAMI. @internal */
export async function userOf(link: RedisLink): Promise<string | null> {
  try {
    return await link.within('ACL WHOAMI', link.client.acl('WHOAMI'));
  } catch {
    return null;
  }
}
