import {
  ENCODED_ORIGIN_LENGTH,
  MESSAGE_ID_AT,
  MESSAGE_ID_END,
} from '../../message/index.js';
import { APPEND, FIRST_PAYLOAD, PARSE, READ_TAIL } from './journal.lua.js';

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
 * @internal
 */
export const PUBLISH_SCRIPT = `
local journal, origin = KEYS[1], string.sub(ARGV[${FIRST_PAYLOAD}], -${ENCODED_ORIGIN_LENGTH})
local verb, channel, keep, since = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local untried, sealKeys = ${FIRST_PAYLOAD} + ARGV[5], ARGV[6]
local salt = 0
local call, sub = redis.call, string.sub

local searched
local function refuse(err, from)
  for i = math.max(from, untried), #ARGV do redis.pcall(verb, channel, ARGV[i]) end
  return searched and { err = err.err .. '${SEARCHED}' .. searched } or err
end

${PARSE}
${READ_TAIL}

local announced = {}
if since ~= '' and last then
  local wanted = {}
  for i = ${FIRST_PAYLOAD}, untried - 1 do wanted[sub(ARGV[i], ${MESSAGE_ID_AT + 1}, ${MESSAGE_ID_END})] = true end
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

${APPEND}

local replies = {}
for i = ${FIRST_PAYLOAD}, #ARGV do
  local payload = ARGV[i]
  local known = since ~= '' and announced[sub(payload, ${MESSAGE_ID_AT + 1}, ${MESSAGE_ID_END})]
  if known then
    replies[#replies + 1] = known
    replies[#replies + 1] = -1
  else
    local added, id, complete = append(i)
    if type(added) == 'table' then return refuse(added, i) end
    replies[#replies + 1] = id
    replies[#replies + 1] = call(verb, channel, complete)
    previous = id
  end
end
return replies
`;
