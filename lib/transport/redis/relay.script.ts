import type { Cluster, Redis } from 'ioredis';
import { ENCODED_ORIGIN_LENGTH } from '../../message/index.js';
import { APPEND, FIRST_PAYLOAD, PARSE, READ_TAIL } from './journal.lua.js';

/** Before an offset: the source goes on there. @internal */
export const RESTART = '+';
/** In place of an offset: a message that the source's journal does not have. @internal */
export const NO_OFFSET = '=';
/** In place of an offset: a message of a publisher without a journal. @internal */
export const FOREIGN = '-';

/** Whether the record is where a relay has left it. */
const IS_AT = `
local function isAt(record, offset, restarts)
  local kept = redis.call('HMGET', record, 'offset', 'restarts')
  return (kept[1] or '') == offset and (kept[2] or '0') == restarts
end`;

/**
 * Journals and publishes messages of a source, and moves the record of its relay, in one
 * step.
 *
 * - KEYS: the journal; the record; the holder.
 * - ARGV: PUBLISH or SPUBLISH; the channel; the number of entries to keep; the offset of
 *   the record, its number of restarts, the offset at which it shall be, and the relay's
 *   id, with a space between each two; the offset of each payload in the source, with
 *   `+` before it if it is a restart, or `-`, or `=`; the seal keys of signed payloads,
 *   one after the other, or ''; the payloads, each with an origin.
 * - Returns the number of restarts, to which each payload without an offset adds one; -1 if the record is elsewhere, or a foreign payload
 *   does not come from the holder: then nothing was done.
 * - Fails if Redis refuses the journal or the channel. The record then is at the last
 *   payload that was journaled.
 */
const FORWARD = `
local journal, record, holder = KEYS[1], KEYS[2], KEYS[3]
local verb, channel, keep, sealKeys = ARGV[1], ARGV[2], ARGV[3], ARGV[6]
local from, restarts, to, me = string.match(ARGV[4], '^(%S*) (%S*) (%S*) (%S*)$')
local call, sub = redis.call, string.sub
local salt = tonumber(sub(me, 1, 5), 16) or 0
local origin, reached, restarted = '', from, restarts + 0
local function move(offset)
  if offset ~= from or restarted ~= restarts + 0 then
    redis.pcall('HSET', record, 'offset', offset, 'restarts', restarted)
  end
end
local function refuse(err)
  move(reached)
  return err
end
${IS_AT}
if not isAt(record, from, restarts) then return -1 end
local places, foreign = {}, false
for place in string.gmatch(ARGV[5], '%S+') do
  places[#places + 1] = place
  if place == '${FOREIGN}' then foreign = true end
end
if foreign then
  if call('GET', holder) ~= me then return -1 end
  call('HSET', record, 'foreign', 1)
end
${PARSE}
if #ARGV >= ${FIRST_PAYLOAD} then
${READ_TAIL}
${APPEND}
  for i = ${FIRST_PAYLOAD}, #ARGV do
    origin = sub(ARGV[i], -${ENCODED_ORIGIN_LENGTH})
    local added, id, complete = append(i)
    if type(added) == 'table' then return refuse(added) end
    previous = id
    local place = places[i - ${FIRST_PAYLOAD - 1}]
    if sub(place, 1, 1) == '${RESTART}' then
      reached, restarted = sub(place, 2), restarted + 1
    elseif place == '${FOREIGN}' or place == '${NO_OFFSET}' then
      -- A server that loses the message has an older record then.
      restarted = restarted + 1
    else
      reached = place
    end
    -- After the record: a payload that is in the journal must not come there again.
    local sent = redis.pcall(verb, channel, complete)
    if type(sent) == 'table' and sent.err then return refuse(sent) end
  end
end
move(to)
return restarted
`;

/** The server's clock, in milliseconds. */
const CLOCK = `
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end`;

/**
 * Records a proof. The call may have been on its way for long, so its age is the time
 * since the server's clock showed the time of the proof.
 *
 * - KEYS: the record; the proof.
 * - ARGV: where the record must be; milliseconds that a proof is kept; the age of the
 *   proof at least; its time by the server's clock.
 * - Returns the server's clock; 0 if the record is elsewhere.
 */
const PROVE = `${IS_AT}
${CLOCK}
if not isAt(KEYS[1], ARGV[1], ARGV[2]) then return 0 end
local now = clock()
local age = math.max(ARGV[4] + 0, now - ARGV[5])
if age < ARGV[3] + 0 then redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[3] - age) end
return now`;

/**
 * - KEYS: the holder.
 * - ARGV: the relay's id; milliseconds until another may become it.
 * - Returns the server's clock; 0 if there is another holder.
 */
const HOLD = `${CLOCK}
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return clock()`;

/** KEYS: the holder. ARGV: the relay's id. */
const RELEASE = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`;

/** Text if a client of the application is set to return numbers as text. */
type Integer = number | string;

/** The scripts of relays, as commands of a client. @internal */
export interface RelayCommands {
  forwardMessages(
    journal: string,
    record: string,
    holder: string,
    ...args: (string | number)[]
  ): Promise<Integer>;
  proveRelay(
    record: string,
    proof: string,
    offset: string,
    restarts: number,
    kept: number,
    age: number,
    provenAt: number,
  ): Promise<Integer>;
  holdRelay(holder: string, id: string, ttl: number): Promise<Integer>;
  releaseRelay(holder: string, id: string): Promise<Integer>;
}

/**
 * Defines the scripts on a client. Their order does not matter: each compares what it
 * changes.
 *
 * @internal
 */
export function withRelayCommands<C extends Redis | Cluster>(
  client: C,
): C & RelayCommands {
  client.defineCommand('forwardMessages', { numberOfKeys: 3, lua: FORWARD });
  client.defineCommand('proveRelay', { numberOfKeys: 2, lua: PROVE });
  client.defineCommand('holdRelay', { numberOfKeys: 1, lua: HOLD });
  client.defineCommand('releaseRelay', { numberOfKeys: 1, lua: RELEASE });
  return client as C & RelayCommands;
}
