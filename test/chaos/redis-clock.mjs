/**
 * The clock of Redis cannot be set for one process: libfaketime hangs a
 * redis-server that uses jemalloc. The library sees that clock only as the ID
 * of the next journal entry, so this sets the ID: one message is journaled as
 * by a server whose clock is wrong. From then on the clock is behind the
 * journal, as after a clock that was set back.
 */
const JOURNAL_AHEAD = `
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local id = ARGV[1] .. '-1'
local message = last[2][2]
message = string.gsub(message, '"offset":"[^"]*"', '"offset":"' .. id .. '"')
message = string.gsub(message, '"previous":"[^"]*"', '"previous":"' .. last[1] .. '"')
redis.call('XADD', KEYS[1], id, 'm', message)
redis.call('PUBLISH', ARGV[2], message)
return cjson.decode(message).message_id
`;

/**
 * Publishes the last message once more, as a Redis whose clock is ahead.
 *
 * @returns the message's ID
 */
export async function journalAhead({ redis, journal, channel }, milliseconds) {
  const ahead = Date.now() + milliseconds;
  return redis.admin.eval(JOURNAL_AHEAD, 1, journal, ahead, channel);
}
