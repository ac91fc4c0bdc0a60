import { Redis } from 'ioredis';
import { onTestFinished } from 'vitest';
import { aclUsers, type AclNeeds } from '../../lib/transport/index.js';

/** Commands with which one service could stop the others, or lose their messages. */
const HARMFUL = [
  ['CLIENT', 'KILL', 'TYPE', 'pubsub'],
  ['CLIENT', 'PAUSE', '1'],
  ['FLUSHALL'],
  ['FLUSHDB'],
  ['CONFIG', 'SET', 'maxmemory', '1'],
  ['SHUTDOWN'],
  ['DEBUG', 'SLEEP', '0'],
  ['REPLICAOF', 'no', 'one'],
  ['ACL', 'SETUSER', 'other'],
  ['SCRIPT', 'FLUSH'],
  ['FUNCTION', 'FLUSH'],
  ['MONITOR'],
  ['KEYS', '*'],
];

/** Users that have the rights of `aclUsers()` and no other, on every node of a deployment. */
export class RestrictedUsers {
  /** Password of each. */
  static readonly PASSWORD = 'pw';
  readonly #nodes: readonly Redis[];

  constructor(
    urls: readonly string[],
    /** Name of the service's user; that of the second tier ends with `-l2`. */
    readonly name: string,
    private readonly needs: AclNeeds,
  ) {
    this.#nodes = urls.map((url) => new Redis(url));
    onTestFinished(() => {
      for (const node of this.#nodes) node.disconnect();
    });
  }

  get journal(): string {
    return `{${this.needs.channel}}:journal`;
  }

  async create(): Promise<void> {
    for (const { of, rules } of aclUsers(this.needs)) {
      if (of === 'sentinel') continue;
      const name = of === 'service' ? this.name : `${this.name}-l2`;
      const args = ['on', `>${RestrictedUsers.PASSWORD}`, ...rules];
      for (const node of this.#nodes) {
        await node.acl('LOG', 'RESET');
        await node.acl('SETUSER', name, ...args);
      }
    }
  }

  /** Closes the connections of the service's user: all, or those of one type. */
  async disconnect(type?: 'pubsub'): Promise<void> {
    const filter = type === undefined ? [] : ['TYPE', type];
    for (const node of this.#nodes) {
      await node.call('CLIENT', 'KILL', 'USER', this.name, ...filter);
    }
  }

  /** Commands that the nodes have denied since `create()`. */
  async denied(): Promise<unknown[]> {
    const logs = this.#nodes.map((node) => node.acl('LOG'));
    return (await Promise.all(logs)).flat();
  }

  /** Commands out of these that the service's user may run. */
  async #allowed(...commands: string[][]): Promise<string[]> {
    const [node] = this.#nodes;
    const answers = await Promise.all(
      commands.map(async (command) => ({
        command: command.join(' '),
        answer: await node!.call('ACL', 'DRYRUN', this.name, ...command),
      })),
    );
    return answers
      .filter(({ answer }) => answer === 'OK')
      .map(({ command }) => command);
  }

  /** Commands that could harm others, and that the service's user may run. */
  async harmful(): Promise<string[]> {
    const { journal } = this;
    const { channel, role } = this.needs;
    const harmful = [
      ...HARMFUL,
      ['DEL', journal],
      ['UNLINK', journal],
      ['GET', journal],
      ['XTRIM', journal, 'MAXLEN', '0'],
      ['XADD', 'other', '*', 'm', ''],
      ['XADD', `near:${this.name}:user:1`, '*', 'm', ''],
      ['PUBLISH', 'other', ''],
      ['SUBSCRIBE', 'other'],
      ...(role === 'subscriber'
        ? [
            ['PUBLISH', channel, ''],
            ['SPUBLISH', channel, ''],
            ['XADD', journal, '*', 'm', ''],
            ['EVAL', 'return 1', '1', journal],
          ]
        : []),
      ...(role === 'publisher'
        ? [
            ['SUBSCRIBE', channel],
            ['SSUBSCRIBE', channel],
          ]
        : []),
    ];
    return this.#allowed(...harmful);
  }
}
