"""The scripts that run inside Redis. Each access to shared memory is one script, and so one round trip.

All keys begin with KEYS[1]; ARGV[1] is the session's name. Below `session:NAME:` are

    facts        hash     requests, made, version, born, limits, unknown_criteria; bytes and dropped of
                          the lists
    criteria     hash     name → what was set at runtime
    datasets, models, entries   hashes: id or slug → what clients made, id → how many entries
    completions, faults   lists of what was set at runtime, in the order in which they are tried
    journal      list     exchanges, newest first
    log:KEY      list     logged calls of a credential, newest first; `logs` orders the credentials by use
    turns, counts, cache  hashes, each with a sorted set `…:used` that orders its fields by use
    traffic:…             requests of a credential in this minute, and the leases of those under way

and beside them `sessions` (names by last use), `opened` (names that the control API opened), `gone:NAME` (why
a name expired), `made`, `sequence` (of the newest exchange) and `probe`. Times are Redis's own, in
microseconds, since the clocks of several machines differ.
"""

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha1

from openpipe_mock.sessions.memory import DEFAULT, IDLE_SECONDS, MOST_SESSIONS

_DEFAULT_SECONDS = 86_400
"""How long the default session is kept after its last request. It must end, as Redis outlives the mocks."""
_GONE_SECONDS = 7 * 86_400
"""How long the name of an expired session stays known."""

_COMMON = f"""
local server = redis
local redis = {{sha1hex = server.sha1hex}}
function redis.call(...)
  local found = server.pcall(...)
  local wrong = type(found) == 'table' and found.err
  if not wrong then return found end
  if string.find(wrong, 'WRONGTYPE') or string.find(wrong, 'is not an? ') then
    error('FOREIGN ' .. select(2, ...), 0)
  end
  return server.call(...)
end
local function number(text, key) return tonumber(text) or error('FOREIGN ' .. key, 0) end
local root, name = KEYS[1], ARGV[1]
local stem = root .. 'session:' .. name .. ':'
local facts, sessions, opened = stem .. 'facts', root .. 'sessions', root .. 'opened'
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local ttl = 2 * (name == '{DEFAULT}' and {_DEFAULT_SECONDS} or {int(IDLE_SECONDS)})
local fixed = {{'facts', 'criteria', 'completions', 'faults', 'datasets', 'models', 'entries', 'journal',
  'logs', 'turns', 'turns:used', 'counts', 'counts:used', 'cache', 'cache:used'}}
local function whole(number) return string.format('%.0f', number) end
local function stamp()
  return whole(math.max(now, number(redis.call('HGET', facts, 'version') or 0, facts) + 1))
end
local function each(stem, command, ...)
  for _, fingerprint in ipairs(redis.call('ZRANGE', stem .. 'logs', 0, -1)) do
    redis.call(command, stem .. 'log:' .. fingerprint, ...)
  end
  for _, suffix in ipairs(fixed) do redis.call(command, stem .. suffix, ...) end
end
local function let_go(name, reason)
  each(root .. 'session:' .. name .. ':', 'UNLINK')
  redis.call('ZREM', sessions, name)
  redis.call('SREM', opened, name)
  redis.call('SET', root .. 'gone:' .. name, reason, 'EX', {_GONE_SECONDS})
end
local function sweep()
  local idle = whole(now - {int(IDLE_SECONDS)} * 1000000)
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', sessions, '-inf', '(' .. idle, 'LIMIT', 0, 10)) do
    let_go(name, 'idle')
  end
end
local function has_room()
  if redis.call('ZCARD', sessions) < {MOST_SESSIONS} then return true end
  for _, name in ipairs(redis.call('ZRANGE', sessions, 0, -1)) do
    if redis.call('SISMEMBER', opened, name) == 0 then
      let_go(name, 'room')
      return true
    end
  end
  return false
end
local function find(mode)
  sweep()
  if name == '{DEFAULT}' then return 'ok' end
  if not redis.call('ZSCORE', sessions, name) then
    local reason = redis.call('GET', root .. 'gone:' .. name)
    if reason then return reason end
    if mode == 'look' or mode == 'join' then return 'none' end
    if not has_room() then return 'full' end
  end
  if mode ~= 'look' then redis.call('ZADD', sessions, whole(now), name) end
  if mode == 'open' then redis.call('SADD', opened, name) end
  return 'ok'
end
local function keep()
  local left = redis.call('TTL', facts)
  if left < 0 then redis.call('HSETNX', facts, 'born', whole(now)) end
  if left < ttl / 2 then each(stem, 'EXPIRE', ttl) end
end
local function overtaken(born)
  if born ~= '' then return born ~= redis.call('HGET', facts, 'born') end
  keep()
  return false
end
local function limit(suffix, most)
  local used = stem .. suffix .. ':used'
  local lost = {{}}
  while redis.call('ZCARD', used) > most do
    local oldest = redis.call('ZPOPMIN', used)[1]
    lost[#lost + 1] = redis.call('HSTRLEN', stem .. suffix, oldest)
    redis.call('HDEL', stem .. suffix, oldest)
  end
  return lost
end
local function use(suffix, field)
  redis.call('ZADD', stem .. suffix .. ':used', whole(now), field)
  redis.call('EXPIRE', stem .. suffix, ttl)
  redis.call('EXPIRE', stem .. suffix .. ':used', ttl)
end
"""


# `overtaken`: whether the session was reset or closed since the request read when it was born. What such a
# request still writes is dropped with the rest. A request that began while Redis was away passes "".


@dataclass(frozen=True)
class RedisScript:
    """A script of the mock. `text`: with the functions that all share. `sha`: the hash that Redis knows."""

    body: str

    @cached_property
    def text(self) -> str:
        return _COMMON + self.body

    @cached_property
    def sha(self) -> str:
        return sha1(self.text.encode()).hexdigest()


LOOK = RedisScript("""
local mode = ARGV[2]
local found = find(mode)
if found ~= 'ok' then return {found} end
if mode ~= 'look' then keep() end
if mode == 'begin' or mode == 'join' then redis.call('HINCRBY', facts, 'requests', 1) end
local known = redis.call('HMGET', facts, 'requests', 'version', 'born')
return {found, known[1] or '0', known[2] or '', known[3] or '', whole(now)}
""")
"""Look up a session. ARGV[2] is the mode: `look` only reads; `open` makes it where it is new, for the
control API; `begin` does so for a request and numbers it; `join` numbers a request in a session that must
exist."""

PROBE = RedisScript("""
sweep()
redis.call('SET', root .. 'probe', whole(now), 'EX', 60)
""")
"""Read and write, as requests do. A ping wouldn't do: a Redis may answer it and refuse scripts or writes."""

FRESH = RedisScript("""
sweep()
repeat name = 's' .. redis.call('INCR', root .. 'made')
until not redis.call('ZSCORE', sessions, name) and redis.call('EXISTS', root .. 'gone:' .. name) == 0
return name
""")

LIST = RedisScript(f"""
sweep()
local found = {{}}
local names = redis.call('ZRANGE', sessions, 0, -1)
table.insert(names, 1, '{DEFAULT}')
for _, name in ipairs(names) do
  local facts = root .. 'session:' .. name .. ':facts'
  local known = redis.call('HMGET', facts, 'requests', 'version', 'born')
  found[#found + 1] = {{name, known[1] or '0', known[2] or '', known[3] or ''}}
end
return found
""")

REMOVE = RedisScript("""
each(stem, 'UNLINK')
redis.call('SREM', opened, name)
return redis.call('ZREM', sessions, name) + redis.call('DEL', root .. 'gone:' .. name)
""")
"""Close a session, and forget that it expired. Returns how many of the two there were."""

FORGET = RedisScript("""
local made, version = redis.call('HGET', facts, 'made') or '0', stamp()
each(stem, 'UNLINK')
redis.call('HSET', facts, 'made', made, 'version', version, 'born', version)
redis.call('EXPIRE', facts, ttl)
""")
"""Forget all but the number of the last place, so that no place is given twice."""

NEXT_PLACE = RedisScript("""
keep()
return redis.call('HINCRBY', facts, 'made', 1)
""")

OVERRIDES = RedisScript("""
local known = redis.call('HMGET', facts, 'version', 'limits', 'unknown_criteria')
return {known[1] or '', redis.call('HGETALL', stem .. 'criteria'),
  redis.call('LRANGE', stem .. 'completions', 0, -1), redis.call('LRANGE', stem .. 'faults', 0, -1),
  known[2] or '', known[3] or '', redis.call('HGETALL', stem .. 'datasets'),
  redis.call('HGETALL', stem .. 'models'), redis.call('HGETALL', stem .. 'entries')}
""")

OVERRIDE = RedisScript("""
if overtaken(ARGV[3]) then return end
for _, order in ipairs(cjson.decode(ARGV[2])) do
  local command, suffix = table.remove(order, 1), table.remove(order, 1)
  redis.call(command, stem .. suffix, unpack(order))
  redis.call('EXPIRE', stem .. suffix, ttl)
end
redis.call('HSET', facts, 'version', stamp())
""")
"""Run the commands in ARGV[2]. ARGV[3]: when the session was born, as the caller read it; after a reset since
then nothing is changed, as if the reset had come last."""

PUSH = RedisScript("""
local suffix, item, most, most_bytes = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local list = stem .. suffix
if overtaken(ARGV[8]) then return end
if ARGV[6] ~= '' then
  local used = stem .. 'logs'
  redis.call('ZADD', used, whole(now), ARGV[6])
  redis.call('EXPIRE', used, ttl)
  while redis.call('ZCARD', used) > tonumber(ARGV[7]) do
    local oldest = stem .. 'log:' .. redis.call('ZPOPMIN', used)[1]
    redis.call('UNLINK', oldest)
    redis.call('HDEL', facts, 'bytes:' .. oldest)
  end
end
if suffix == 'journal' then
  local sequence = math.max(now, number(redis.call('GET', root .. 'sequence') or 0, root .. 'sequence') + 1)
  redis.call('SET', root .. 'sequence', whole(sequence), 'EX', ttl)
  item = whole(sequence) .. ' ' .. item
end
local length = redis.call('LPUSH', list, item)
if length == 1 then redis.call('HDEL', facts, 'bytes:' .. list) end
local bytes = redis.call('HINCRBY', facts, 'bytes:' .. list, #item)
while length > most or bytes > most_bytes do
  local gone = redis.call('RPOP', list)
  length = length - 1
  bytes = redis.call('HINCRBY', facts, 'bytes:' .. list, -#gone)
  redis.call('HINCRBY', facts, 'dropped:' .. list, 1)
end
redis.call('EXPIRE', list, ttl)
""")
"""Put an item in front of a list that is bounded in items and bytes; the oldest go.

ARGV[8]: when the session was born, as the request read it; after a reset since then nothing is kept. In
front of an exchange stand its sequence number and a space.
"""

READ_ENTRIES = RedisScript("return redis.call('LRANGE', stem .. ARGV[2], 0, ARGV[3])")

DROPPED = RedisScript("return redis.call('HGET', facts, 'dropped:' .. stem .. ARGV[2]) or '0'")

CLEAR = RedisScript("""
local list = stem .. ARGV[2]
local length = redis.call('LLEN', list)
redis.call('UNLINK', list)
redis.call('HDEL', facts, 'bytes:' .. list, 'dropped:' .. list)
return length
""")

SEQUENCE = RedisScript("return whole(number(redis.call('GET', root .. 'sequence') or 0, root .. 'sequence'))")
"""Return the sequence number of the newest exchange in any journal."""

NEWEST = RedisScript("return string.match(redis.call('LINDEX', stem .. ARGV[2], 0) or '', '^%d+') or '0'")
"""Return the sequence number of the newest exchange in a journal."""

REPLACE = RedisScript("""
local list, bytes = stem .. ARGV[2], 0
if redis.sha1hex(table.concat(redis.call('LRANGE', list, 0, -1), ' ')) ~= ARGV[3] then return 0 end
keep()
redis.call('DEL', list)
for index = 4, #ARGV do
  redis.call('RPUSH', list, ARGV[index])
  bytes = bytes + #ARGV[index]
end
redis.call('HSET', facts, 'bytes:' .. list, bytes)
redis.call('EXPIRE', list, ttl)
return 1
""")
"""Replace a list if its items still have the hash ARGV[3]. Returns 1 where it did, else 0."""

COUNT = RedisScript("""
if overtaken(ARGV[5]) then return 1 end
local number = redis.call('HINCRBY', stem .. ARGV[2], ARGV[3], 1)
use(ARGV[2], ARGV[3])
limit(ARGV[2], tonumber(ARGV[4]))
return number
""")
"""Count something and return its number. After a reset since ARGV[5] it isn't counted, and is the first."""

CACHED = RedisScript("""
local found = redis.call('HGET', stem .. 'cache', ARGV[2])
if found then use('cache', ARGV[2]) end
return found
""")

STORE = RedisScript("""
if overtaken(ARGV[6]) then return end
local before = redis.call('HSTRLEN', stem .. 'cache', ARGV[2])
redis.call('HSET', stem .. 'cache', ARGV[2], ARGV[3])
use('cache', ARGV[2])
local bytes = redis.call('HINCRBY', facts, 'bytes:cache', #ARGV[3] - before)
local function forget(most)
  for _, size in ipairs(limit('cache', most)) do
    bytes = redis.call('HINCRBY', facts, 'bytes:cache', -size)
  end
end
forget(tonumber(ARGV[4]))
while bytes > tonumber(ARGV[5]) and redis.call('HLEN', stem .. 'cache') > 1 do
  forget(redis.call('HLEN', stem .. 'cache') - 1)
end
""")

ENTER = RedisScript("""
local traffic, at_once, a_minute = stem .. 'traffic:' .. ARGV[2], ARGV[3], ARGV[4]
local leases, seconds = traffic .. ':leases', tonumber(ARGV[6])
if at_once ~= '' then
  redis.call('ZREMRANGEBYSCORE', leases, '-inf', whole(now))
  if redis.call('ZCARD', leases) >= tonumber(at_once) then
    return {'at once', 1000, number(redis.call('GET', traffic) or 0, traffic)}
  end
end
if a_minute ~= '' and number(redis.call('GET', traffic) or 0, traffic) >= tonumber(a_minute) then
  return {'a minute', redis.call('PTTL', traffic), tonumber(a_minute)}
end
local count = redis.call('INCR', traffic)
if count == 1 then redis.call('EXPIRE', traffic, 60) end
if at_once ~= '' then
  redis.call('ZADD', leases, whole(now + seconds * 1000000), ARGV[5])
  redis.call('EXPIRE', leases, seconds)
end
return {'', redis.call('PTTL', traffic), count}
""")
"""Count a request of a credential against its limits. A lease that isn't given back expires."""

LEAVE = RedisScript("redis.call('ZREM', stem .. 'traffic:' .. ARGV[2] .. ':leases', ARGV[3])")
