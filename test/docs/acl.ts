import { commandOf } from '../../lib/cli/doctor/acl-report.js';
import { aclUsers, type AclNeeds } from '../../lib/transport/index.js';

const NEEDS: AclNeeds = {
  role: 'both',
  channel: 'cache:invalidate',
  sharded: false,
  topology: 'server',
};

const commandsFor = (needs: Partial<AclNeeds>): string[] =>
  aclUsers({ ...NEEDS, ...needs }).map(commandOf);

const l2 = ['near:user-service'];

/** The rules that docs/operations.md gives, in its order, as `doctor --acl` prints them. */
export const DOCUMENTED_RULES: readonly string[] = [
  ...commandsFor({}),
  ...commandsFor({ role: 'subscriber' }),
  ...commandsFor({ role: 'publisher' }),
  ...commandsFor({ l2 }),
  ...commandsFor({ regions: true }),
  ...commandsFor({ role: 'subscriber', regions: true }),
  ...commandsFor({ l2, version: [6, 2] }),
  ...commandsFor({ topology: 'sentinel' }).slice(1),
];
