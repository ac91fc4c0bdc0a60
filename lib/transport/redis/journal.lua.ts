import {
  ENCODED_ORIGIN_LENGTH,
  JOURNAL_START,
  MAC_LENGTH,
  MESSAGE_ID_AT,
} from '../../message/index.js';

/** Milliseconds that a journal may end ahead of the server's clock. */
const DAY_MS = 86_400_000;

/** First word of the error if the journal ends further in the future. @internal */
export const AHEAD = 'JOURNALAHEAD';

/** Index of the first payload in ARGV. @internal */
export const FIRST_PAYLOAD = 7;

/*
 * Parts of the scripts that write the journal. A script that includes them declares
 * `journal`, `origin`, `keep`, `sealKeys`, `salt`, `call`, `sub`, and a function `refuse` of an
 * error and of the index of the payload that was refused.
 */

/** Splits an offset. @internal */
export const PARSE = `
local function parse(id)
  local dash = string.find(id, '-', 1, true)
  return tonumber(sub(id, 1, dash - 1)), tonumber(sub(id, dash + 1))
end`;

/** Reads the journal's end and the clock. @internal */
export const READ_TAIL = `
local tail = redis.pcall('XREVRANGE', journal, '+', '-', 'COUNT', 1)
if tail.err then return refuse(tail, ${FIRST_PAYLOAD}) end
local last = tail[1]
local previous = last and last[1] or '${JOURNAL_START}'
local ms, seq = parse(previous)
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ahead = { err = '${AHEAD} The journal ends more than a day ahead of the clock.' }
if ms > now + ${DAY_MS} then return refuse(ahead, ${FIRST_PAYLOAD}) end`;

/**
 * Appends a payload to the journal; `append` returns an error or the offset, the offset,
 * and the payload with its place.
 *
 * The sequence part of an ID is made of digits of the message's UUID. A journal
 * that lost its end, on a server whose clock is behind, must not give the lost IDs
 * to other messages; nor may two relays, each with a master of its own, give one ID to
 * a message that both forward: \`salt\` tells them apart. Lua numbers are doubles, and
 * written with 14 digits.
 *
 * The place of a signed message is sealed by two nested hashes, each with half of the
 * message's seal key, as \`MessageSigner\` verifies it.
 *
 * @internal
 */
export const APPEND = `
local function sealOf(payload, id, index)
  if sealKeys == '' then return '' end
  local at = (index - ${FIRST_PAYLOAD}) * 64
  local mac = sub(payload, -${ENCODED_ORIGIN_LENGTH + 1 + MAC_LENGTH}, -${ENCODED_ORIGIN_LENGTH + 2})
  local inner = redis.sha1hex(sub(sealKeys, at + 1, at + 32) .. id .. ' ' .. previous .. ' ' .. mac)
  return ',"seal":"' .. redis.sha1hex(sub(sealKeys, at + 33, at + 64) .. inner) .. '"'
end

local function add(index)
  local payload, isLast = ARGV[index], index == #ARGV
  local digits = tonumber(sub(payload, ${MESSAGE_ID_AT + 1}, ${MESSAGE_ID_AT + 5}), 16) or 0
  local nonce = (digits + salt) % 1048576
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

local function append(index)
  local added, id, complete = add(index)
  if type(added) == 'table' and (string.find(added.err, 'equal or smaller', 1, true) or string.find(added.err, 'exhausted', 1, true)) then
    -- Entries at the end were deleted; their IDs must not come again.
    local info = call('XINFO', 'STREAM', journal)
    for at = 1, #info, 2 do
      if info[at] == 'last-generated-id' then ms, seq = parse(info[at + 1]) end
    end
    if ms > now + ${DAY_MS} then return ahead end
    return add(index)
  end
  return added, id, complete
end`;
