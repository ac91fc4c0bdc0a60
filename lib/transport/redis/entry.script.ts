import type { Cluster, Redis } from 'ioredis';

/** Reads the offset at the beginning of an entry, and of the one that is stored. */
const READ_OFFSET = `
local function read(entry)
  local ms, seq = string.match(entry, '^(%d+)%-(%d+)')
  return tonumber(ms), tonumber(seq)
end
local ms, seq = read(ARGV[1])
local thereMs, thereSeq = read(redis.call('GETRANGE', KEYS[1], 0, 41))
`;

const PUT = `${READ_OFFSET}
if thereMs and (thereMs > ms or thereMs == ms and thereSeq > seq) then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`;

const DROP = `${READ_OFFSET}
if not thereMs or thereMs < ms or thereMs == ms and thereSeq < seq then
  return redis.call('UNLINK', KEYS[1])
end
return 0`;

const LEASE = `
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`;

const SWAP = `
local there = redis.call('GET', KEYS[1])
if there and there ~= ARGV[1] then return there end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return false`;

/** Text if a client of the application is set to return numbers as text. */
type Integer = number | string;

/** The scripts of the second tier, as commands of a client. @internal */
export interface EntryCommands {
  /** Stores an entry for `ttl` ms, unless one with a later offset is stored. */
  putEntry(
    key: string,
    offset: string,
    entry: Buffer,
    ttl: number,
  ): Promise<Integer>;
  /** Removes an entry, unless it has this offset or a later one. */
  dropEntry(key: string, offset: string): Promise<Integer>;
  /** Takes or renews a lease for `ttl` ms; 0 if it has another holder. */
  takeLease(key: string, holder: string, ttl: number): Promise<Integer>;
  /** Writes a text for `ttl` ms, or returns another one than `expected` that is there. */
  swapText(
    key: string,
    expected: string,
    text: string,
    ttl: number,
  ): Promise<string | null>;
}

/**
 * Defines the scripts on a client: ioredis sends their text to each connection once,
 * and to a server that has lost it. Calls may then change their order, which does no
 * harm here: each compares offsets, the holder, or the text.
 *
 * @internal
 */
export function withEntryCommands<C extends Redis | Cluster>(
  client: C,
): C & EntryCommands {
  client.defineCommand('putEntry', { numberOfKeys: 1, lua: PUT });
  client.defineCommand('dropEntry', { numberOfKeys: 1, lua: DROP });
  client.defineCommand('takeLease', { numberOfKeys: 1, lua: LEASE });
  client.defineCommand('swapText', { numberOfKeys: 1, lua: SWAP });
  return client as C & EntryCommands;
}
