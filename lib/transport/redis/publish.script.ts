import {
  ENCODED_ORIGIN_LENGTH,
  JOURNAL_START,
  MAC_LENGTH,
  MESSAGE_ID_AT,
  MESSAGE_ID_END,
} from '../../message/index.js';

/** Milliseconds that a journal may end ahead of the server's clock. */
const DAY_MS = 86_400_000;

/** First word of the error if the journal ends further in the future. @internal */
export const AHEAD = 'JOURNALAHEAD';

/**
 * Precedes an offset in the message of an error: none of the payloads is in the
 * journal up to there; empty if an earlier try of one was found.
 *
 * @internal
 */
export const SEARCHED = '; searched up to ';

/**
 * Journals and publishes any number of messages in one round trip.
 *
 * - KEYS: the journal.
 * - ARGV: PUBLISH or SPUBLISH; the channel; the number of entries to keep; the
 *   offset from which to search for earlier tries, or ''; the number of payloads,
 *   the first ones, that were tried; the seal keys of signed payloads, one after the
 *   other, or ''; the payloads, all of one origin.
 * - Returns, for each payload, its offset and the number of its receivers; -1
 *   receivers if an earlier try had published it.
 * - Fails if Redis refuses the journal (no memory, no replica, an end that is days
 *   ahead). Payloads that were never tried are then published without an offset:
 *   readers need not wait for them. The others may be tried again.
 *
 * The sequence part of an ID is made of digits of the message's UUID. A journal
 * that lost its end, on a server whose clock is behind, must not give the lost IDs
 * to other messages. Lua numbers are doubles, and written with 14 digits.
 *
 * The place of a signed message is sealed by two nested hashes, each with half of the
 * message's seal key, as `MessageSigner` verifies it.
 *
 * @internal
 */
export const PUBLISH_SCRIPT = `
local journal, origin = KEYS[1], string.sub(ARGV[7], -${ENCODED_ORIGIN_LENGTH})
local verb, channel, keep, since = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local untried, sealKeys = 7 + ARGV[5], ARGV[6]
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
if tail.err then return refuse(tail, 7) end
local last = tail[1]
local previous = last and last[1] or '${JOURNAL_START}'
local ms, seq = parse(previous)
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ahead = { err = '${AHEAD} The journal ends more than a day ahead of the clock.' }
if ms > now + ${DAY_MS} then return refuse(ahead, 7) end

local announced = {}
if since ~= '' and last then
  local wanted = {}
  for i = 7, untried - 1 do wanted[sub(ARGV[i], ${MESSAGE_ID_AT + 1}, ${MESSAGE_ID_END})] = true end
  local sinceMs, sinceSeq = 0, 0
  if since ~= '-' then sinceMs, sinceSeq = parse(since) end
  -- Beyond the end: the journal is not the one of the first try any more.
  local from = (sinceMs > ms or sinceMs == ms and sinceSeq > seq) and '-' or since
  repeat
    local page = call('XRANGE', journal, from, '+', 'COUNT', 250)
    for _, entry in ipairs(page) do
      local id = sub(entry[2][2], ${MESSAGE_ID_AT + 1}, ${MESSAGE_ID_END})
      if wanted[id] then announced[id] = entry[1] end
    end
    local more = #page == 250 and page[250][1] ~= from
    if more then from = page[250][1] end
  until not more
end
-- What was found is not said in a refusal, and must be found again.
searched = next(announced) == nil and previous or ''

local function sealOf(payload, id, index)
  if sealKeys == '' then return '' end
  local at = (index - 7) * 64
  local mac = sub(payload, -${ENCODED_ORIGIN_LENGTH + 1 + MAC_LENGTH}, -${ENCODED_ORIGIN_LENGTH + 2})
  local inner = redis.sha1hex(sub(sealKeys, at + 1, at + 32) .. id .. ' ' .. previous .. ' ' .. mac)
  return ',"seal":"' .. redis.sha1hex(sub(sealKeys, at + 33, at + 64) .. inner) .. '"'
end

local function append(index)
  local payload, isLast = ARGV[index], index == #ARGV
  local nonce = tonumber(sub(payload, ${MESSAGE_ID_AT + 1}, ${MESSAGE_ID_AT + 5}), 16) or 0
  if now > ms then
    ms, seq = now, nonce
  else
    seq = seq + 1 + nonce
    if seq > 9999999999999 then ms, seq = ms + 1, nonce end
  end
  local id = ms .. '-' .. seq
  local complete = sub(payload, 1, -${ENCODED_ORIGIN_LENGTH + 1})
    .. ',"offset":"' .. id .. '","previous":"' .. previous .. '"' .. sealOf(payload, id, index) .. origin
  -- Trimmed once a call: it costs as much as the rest of XADD.
  if isLast then
    return redis.pcall('XADD', journal, 'MAXLEN', '~', keep, id, 'm', complete), id, complete
  end
  return redis.pcall('XADD', journal, id, 'm', complete), id, complete
end

local replies = {}
for i = 7, #ARGV do
  local payload = ARGV[i]
  local known = since ~= '' and announced[sub(payload, ${MESSAGE_ID_AT + 1}, ${MESSAGE_ID_END})]
  if known then
    replies[#replies + 1] = known
    replies[#replies + 1] = -1
  else
    local added, id, complete = append(i)
    if type(added) == 'table' and (string.find(added.err, 'equal or smaller', 1, true) or string.find(added.err, 'exhausted', 1, true)) then
      -- Entries at the end were deleted; their IDs must not come again.
      local info = call('XINFO', 'STREAM', journal)
      for at = 1, #info, 2 do
        if info[at] == 'last-generated-id' then ms, seq = parse(info[at + 1]) end
      end
      if ms > now + ${DAY_MS} then return refuse(ahead, i) end
      added, id, complete = append(i)
    end
    if type(added) == 'table' then return refuse(added, i) end
    replies[#replies + 1] = id
    replies[#replies + 1] = call(verb, channel, complete)
    previous = id
  end
end
return replies
`;
