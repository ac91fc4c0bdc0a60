import type { Cluster, Redis } from 'ioredis';
import { JournalAheadError } from '../../errors/index.js';
import { ENCODED_ORIGIN_LENGTH, JOURNAL_START } from '../../message/index.js';
import type { JournalEntry, Published } from '../invalidation.transport.js';
import { ScriptCalls } from './script.calls.js';

/** How an answer begins that says that the journal ends in the future. */
const AHEAD = 'JOURNALAHEAD';
/** How far ahead of the server's clock a journal may end, in milliseconds. */
const DAY_MS = 86_400_000;
/** What stands before an offset in a refusal: up to there nothing was found. */
const SEARCHED = '; searched up to ';

/**
 * Journals and publishes, in one round trip, any number of messages.
 *
 * - KEYS: the journal.
 * - ARGV: PUBLISH or SPUBLISH; the channel; how many entries to keep; where to
 *   look for earlier tries, or ''; how many of the first payloads were tried;
 *   the payloads, of one origin.
 * - Returns, for each payload, its offset and the number of its receivers, -1
 *   if an earlier try had announced it.
 *
 * Where the journal is refused (no memory, no replica, an end that is days ahead)
 * that is the answer, and up to where none of the messages is in the journal;
 * but what was never tried is announced, without an offset: readers need not
 * wait.
 *
 * The sequence part of an ID is made of digits of the message's UUID: a journal
 * that lost its end, on a server whose clock is behind, must not give the IDs
 * that were lost to other messages. Numbers are doubles here, and written with
 * 14 digits.
 */
const PUBLISH = `
local journal, origin = KEYS[1], string.sub(ARGV[6], -${ENCODED_ORIGIN_LENGTH})
local verb, channel, keep, since = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local untried = 6 + ARGV[5]
local call, sub = redis.call, string.sub

local searched
local function refuse(err, from)
  for i = math.max(from, untried), #ARGV do redis.pcall(verb, channel, ARGV[i]) end
  return searched and { err = err.err .. '${SEARCHED}' .. searched } or err
end

local function parse(id)
  local dash = string.find(id, '-', 1, true)
  return tonumber(sub(id, 1, dash - 1)), tonumber(sub(id, dash + 1))
end

local tail = redis.pcall('XREVRANGE', journal, '+', '-', 'COUNT', 1)
if tail.err then return refuse(tail, 6) end
local last = tail[1]
local previous = last and last[1] or '${JOURNAL_START}'
local ms, seq = parse(previous)
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ahead = { err = '${AHEAD} The journal ends more than a day ahead of the clock.' }
if ms > now + ${DAY_MS} then return refuse(ahead, 6) end

local announced = {}
if since ~= '' and last then
  local wanted = {}
  for i = 6, untried - 1 do wanted[sub(ARGV[i], 16, 51)] = true end
  local sinceMs, sinceSeq = 0, 0
  if since ~= '-' then sinceMs, sinceSeq = parse(since) end
  -- Beyond the end: the journal is not the one of the first try any more.
  local from = (sinceMs > ms or sinceMs == ms and sinceSeq > seq) and '-' or since
  repeat
    local page = call('XRANGE', journal, from, '+', 'COUNT', 250)
    for _, entry in ipairs(page) do
      local id = sub(entry[2][2], 16, 51)
      if wanted[id] then announced[id] = entry[1] end
    end
    local more = #page == 250 and page[250][1] ~= from
    if more then from = page[250][1] end
  until not more
end
-- What was found is not said in a refusal, and must be found again.
searched = next(announced) == nil and previous or ''

local function append(payload, isLast)
  local nonce = tonumber(sub(payload, 16, 20), 16) or 0
  if now > ms then
    ms, seq = now, nonce
  else
    seq = seq + 1 + nonce
    if seq > 9999999999999 then ms, seq = ms + 1, nonce end
  end
  local id = ms .. '-' .. seq
  local complete = sub(payload, 1, -${ENCODED_ORIGIN_LENGTH + 1})
    .. ',"offset":"' .. id .. '","previous":"' .. previous .. '"' .. origin
  -- Trimmed once a call: it costs as much as the rest of XADD.
  if isLast then
    return redis.pcall('XADD', journal, 'MAXLEN', '~', keep, id, 'm', complete), id, complete
  end
  return redis.pcall('XADD', journal, id, 'm', complete), id, complete
end

local replies = {}
for i = 6, #ARGV do
  local payload = ARGV[i]
  local known = since ~= '' and announced[sub(payload, 16, 51)]
  if known then
    replies[#replies + 1] = known
    replies[#replies + 1] = -1
  else
    local added, id, complete = append(payload, i == #ARGV)
    if type(added) == 'table' and (string.find(added.err, 'equal or smaller', 1, true) or string.find(added.err, 'exhausted', 1, true)) then
      -- Entries at the end were deleted; their IDs must not come again.
      local info = call('XINFO', 'STREAM', journal)
      for at = 1, #info, 2 do
        if info[at] == 'last-generated-id' then ms, seq = parse(info[at + 1]) end
      end
      if ms > now + ${DAY_MS} then return refuse(ahead, i) end
      added, id, complete = append(payload, i == #ARGV)
    end
    if type(added) == 'table' then return refuse(added, i) end
    replies[#replies + 1] = id
    replies[#replies + 1] = call(verb, channel, complete)
    previous = id
  end
end
return replies
`;

/**
 * What the user may not do of all that is needed here. Before version 7 Redis
 * cannot be asked; then the commands are tried in forms that do nothing.
 *
 * - KEYS: the journal. ARGV: PUBLISH or SPUBLISH; the channel; SUBSCRIBE or
 *   SSUBSCRIBE.
 * - Returns the names of the commands.
 */
const MISSING_RIGHTS = `
local journal, publish, channel, subscribe = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local missing = {}
local function allowed(...)
  if redis.acl_check_cmd then return redis.acl_check_cmd(...) end
  local reply = redis.pcall(...)
  return not (type(reply) == 'table' and reply.err and string.find(reply.err, 'executing the script'))
end
local function need(name, ...)
  if not allowed(name, ...) then missing[#missing + 1] = name end
end
need('XADD', journal, '0-0', 'm', '')
need('XRANGE', journal, '-', '+', 'COUNT', 1)
need('XREVRANGE', journal, '+', '-', 'COUNT', 1)
need('XINFO', 'STREAM', journal)
need('TIME')
if redis.acl_check_cmd then
  need('EVALSHA', '', 1, journal)
  need('PING')
  need(publish, channel, '')
  need(subscribe, channel)
end
return missing
`;

/** In the answer of ACL GETUSER, before version 7 and since. */
const UNRESTRICTED = [
  /"commands"[,:]"\+@all"/,
  /"keys"[,:](?:"~\*"|\["\*"\])/,
  /"channels"[,:](?:"&\*"|\["\*"\])/,
];

/**
 * Each publisher has one of these many copies of the script for its own, since
 * the order of its calls hangs on nobody else's loading it: see `ScriptCalls`.
 * Few enough that what is left in Redis stays small.
 */
const COPIES = 1_024;

/**
 * The journal of a channel: a Redis Stream in the channel's hash slot, so that
 * one script can write both in a cluster.
 *
 * @internal
 */
export class RedisJournal {
  readonly key: string;
  readonly #calls: ScriptCalls;

  constructor(
    private readonly client: Redis | Cluster,
    private readonly channel: string,
    private readonly options: {
      readonly maxLength: number;
      readonly sharded: boolean;
    },
  ) {
    this.key = journalKey(channel);
    const copy = `-- ${Math.floor(Math.random() * COPIES)}${PUBLISH}`;
    this.#calls = new ScriptCalls(client, copy);
  }

  /** @param payloads messages, which end with their origin */
  async publish(
    payloads: readonly string[],
    triedSince: string | null,
    tried: number,
  ): Promise<Published[]> {
    const { sharded, maxLength } = this.options;
    try {
      const replies = await this.#calls.call([
        1,
        this.key,
        sharded ? 'SPUBLISH' : 'PUBLISH',
        this.channel,
        maxLength,
        triedSince ?? '',
        tried,
        ...payloads,
      ]);
      return publishedFrom(replies as (string | number)[]);
    } catch (error) {
      throw this.#refusal(error as Error);
    }
  }

  /** The connection broke: what was asked will not be answered. */
  abandon(error: Error): void {
    this.#calls.abandon(error);
  }

  #refusal(error: Error): Error {
    const [text = '', searchedUpTo] = error.message.split(SEARCHED);
    if (text.startsWith(AHEAD)) {
      const searched = { searchedUpTo: null };
      return Object.assign(new JournalAheadError(this.key), searched);
    }
    // Refused before the script looked: that costs Redis next to nothing.
    if (searchedUpTo === undefined) return error;
    error.message = text;
    return Object.assign(error, { searchedUpTo: searchedUpTo || null });
  }

  async read(from: string, count: number): Promise<JournalEntry[]> {
    const entries = await this.client.xrange(
      this.key,
      from,
      '+',
      'COUNT',
      count,
    );
    return entries.map(([offset, [, payload = '']]) => ({ offset, payload }));
  }

  async missingRights(): Promise<string[]> {
    const { sharded } = this.options;
    if (await this.#mayDoEverything()) return [];
    try {
      return (await this.client.eval(
        MISSING_RIGHTS,
        1,
        this.key,
        sharded ? 'SPUBLISH' : 'PUBLISH',
        this.channel,
        sharded ? 'SSUBSCRIBE' : 'SUBSCRIBE',
      )) as string[];
    } catch (error) {
      if (!isRefusal(error)) return [];
      return [error.message.includes('key') ? this.key : 'EVAL'];
    }
  }

  /**
   * As `default` may where nobody saw to it. Then nothing is asked, of which
   * Valkey as WebAssembly, for demonstrations, dies.
   */
  async #mayDoEverything(): Promise<boolean> {
    try {
      if ((await this.client.acl('WHOAMI')) !== 'default') return false;
      const user = JSON.stringify(await this.client.acl('GETUSER', 'default'));
      return UNRESTRICTED.every((rule) => rule.test(user));
    } catch {
      // May not even ask that.
      return false;
    }
  }

  async tail(): Promise<string> {
    const [last] = await this.client.xrevrange(this.key, '+', '-', 'COUNT', 1);
    return last?.[0] ?? JOURNAL_START;
  }
}

const HASH_TAG = /\{[^}]+\}/;

/** A hash tag that the channel has already must stay the one that counts. */
function journalKey(channel: string): string {
  return HASH_TAG.test(channel) ? `${channel}:journal` : `{${channel}}:journal`;
}

/**
 * Whether the journal of this channel is that of another one: `{a}` and `a`
 * have one key, and would break each other's chain.
 *
 * @internal
 */
export function sharesJournal(channel: string): boolean {
  return (
    HASH_TAG.test(channel) &&
    /^\{[^]*\}$/.test(channel) &&
    !HASH_TAG.test(channel.slice(1, -1))
  );
}

function isRefusal(error: unknown): error is Error {
  return error instanceof Error && error.message.includes('NOPERM');
}

function publishedFrom(replies: readonly (string | number)[]): Published[] {
  const published: Published[] = [];
  for (let at = 0; at < replies.length; at += 2) {
    const receivers = Number(replies[at + 1]);
    published.push({
      offset: String(replies[at]),
      receivers: receivers < 0 ? null : receivers,
    });
  }
  return published;
}
