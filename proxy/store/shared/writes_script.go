package shared

// What runs within Redis for the queue of writes. KEYS[1] is what all names begin with:
//
//	w:ID     hash: data (until it has ended), outline, state, part, lane, place (in the stream), size, key, seen, at
//	i:KEY    ID and payload digest of an Idempotency-Key
//	s:PART   stream of IDs and lanes, with the consumer group "workers"
//	l:PART   token of the lease on a part
//	open     sorted set of the writes to be applied, by when they were accepted
//	u:SEEN   sorted set of those that reads see under a name, in the order of their acceptance
//	dead     sorted set of the dead letters, by when they died
//	live     sorted set of the instances that work, by until when that is believed
//	n        hash: bytes queued; token, the last one given; serial; pPART, which grows with each write of a part

// luaWriteAdd stores a write. It returns its ID, or that of the one with the same Idempotency-Key, or "conflict", or "full".
const luaWriteAdd = `
local base = KEYS[1]
local id, key, print, size, max, bytes, data, outline, state, part, lane, seen, at = unpack(ARGV)
if key ~= '' then
	local before = redis.call('GET', base .. 'i:' .. key)
	if before then
		if before:sub(33) ~= print then return 'conflict' end
		return before:sub(1, 32)
	end
end
if redis.call('EXISTS', base .. 'w:' .. id) == 1 then return id end
local held = tonumber(redis.call('HGET', base .. 'n', 'bytes') or '0')
if redis.call('ZCARD', base .. 'open') >= tonumber(max) or held + tonumber(size) > tonumber(bytes) then return 'full' end
local place = redis.call('XADD', base .. 's:' .. part, '*', 'id', id, 'lane', lane)
redis.call('HSET', base .. 'w:' .. id, 'data', data, 'outline', outline, 'state', state, 'part', part, 'lane', lane, 'place', place,
	'size', size, 'key', key, 'seen', seen, 'at', at)
if key ~= '' then redis.call('SET', base .. 'i:' .. key, id .. print) end
redis.call('ZADD', base .. 'open', at, id)
redis.call('HINCRBY', base .. 'n', 'bytes', size)
redis.call('HINCRBY', base .. 'n', 'p' .. part, 1)
if seen ~= '' then redis.call('ZADD', base .. 'u:' .. seen, redis.call('HINCRBY', base .. 'n', 'serial', 1), id) end
return id
`

// luaWriteBeat says that an instance lives, prolongs its leases and takes as many more as are its share. ARGV: instance; time to live in ms; how many
// parts there are; where to begin to take, -1 to take none; the tokens held, "" for none. It returns how many parts are its share, and the tokens that it holds now.
const luaWriteBeat = `
local base, instance, ttl, parts, first = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZADD', base .. 'live', now + ttl, instance)
redis.call('ZREMRANGEBYSCORE', base .. 'live', '-inf', now)
local share = math.ceil(parts / redis.call('ZCARD', base .. 'live'))
local tokens, held = {}, 0
for p = 0, parts - 1 do
	local token = ARGV[5 + p]
	tokens[p] = ''
	if token ~= '' and redis.call('GET', base .. 'l:' .. p) == token then
		redis.call('PEXPIRE', base .. 'l:' .. p, ttl)
		tokens[p], held = token, held + 1
	end
end
for n = 0, first >= 0 and parts - 1 or -1 do
	local p = (first + n) % parts
	if held < share and tokens[p] == '' and redis.call('EXISTS', base .. 'l:' .. p) == 0 then
		local token = string.format('%.0f', redis.call('HINCRBY', base .. 'n', 'token', 1))
		redis.call('SET', base .. 'l:' .. p, token, 'PX', ttl)
		tokens[p], held = token, held + 1
	end
end
local reply = {tostring(share)}
for p = 0, parts - 1 do reply[#reply + 1] = tokens[p] end
return reply
`

// luaWriteRead reads what is queued in a part: what another has read and not settled first, from a place on, then what nobody has. ARGV: part; token;
// instance; the place to claim from, "" to read on; how many. It returns "lost" without the lease; else the next place to claim from, and entries.
const luaWriteRead = `
local base, part, token, instance, from, most = KEYS[1], unpack(ARGV)
if redis.call('GET', base .. 'l:' .. part) ~= token then return 'lost' end
local stream = base .. 's:' .. part
redis.pcall('XGROUP', 'CREATE', stream, 'workers', '0', 'MKSTREAM')
if from ~= '' then
	local claimed = redis.call('XAUTOCLAIM', stream, 'workers', instance, 0, from, 'COUNT', most)
	return {claimed[1], claimed[2]}
end
local read = redis.call('XREADGROUP', 'GROUP', 'workers', instance, 'COUNT', most, 'STREAMS', stream, '>')
if not read or not read[1] then return {'', {}} end
return {'', read[1][2]}
`

// luaWriteEnd is shared by the scripts that let go of a write.
const luaWriteEnd = `
local base = KEYS[1]

-- finish leaves of a write what it takes to tell of it, for a while.
local function finish(id, keep)
	local w = base .. 'w:' .. id
	redis.call('HDEL', w, 'data')
	redis.call('PEXPIRE', w, keep)
	local key = redis.call('HGET', w, 'key')
	if key and key ~= '' then redis.call('PEXPIRE', base .. 'i:' .. key, keep) end
end
`

// luaWritePut notes what has become of a write. ARGV: part; token; place; ID; state; "retry", "end" or "bury"; how long to keep in ms; how many dead
// letters; now in ms. It returns "lost" without the lease. What was noted already is not noted again.
const luaWritePut = `
local part, token, place, id, state, what, keep, dead, now = unpack(ARGV)
if redis.call('GET', base .. 'l:' .. part) ~= token then return 'lost' end
local w = base .. 'w:' .. id
if what == 'retry' then
	if redis.call('EXISTS', w) == 1 then redis.call('HSET', w, 'state', state) end
	return 'done'
end
redis.call('XACK', base .. 's:' .. part, 'workers', place)
if redis.call('XDEL', base .. 's:' .. part, place) == 0 then return 'done' end
redis.call('ZREM', base .. 'open', id)
if redis.call('EXISTS', w) == 0 then return 'done' end
redis.call('HSET', w, 'state', state)
redis.call('HINCRBY', base .. 'n', 'bytes', -tonumber(redis.call('HGET', w, 'size')))
local seen = redis.call('HGET', w, 'seen')
if seen and seen ~= '' then redis.call('ZREM', base .. 'u:' .. seen, id) end
if what ~= 'bury' then
	finish(id, keep)
	return 'done'
end
redis.call('ZADD', base .. 'dead', now, id)
local over = redis.call('ZCARD', base .. 'dead') - tonumber(dead)
if over > 0 then
	for _, old in ipairs(redis.call('ZRANGE', base .. 'dead', 0, over - 1)) do
		redis.call('ZREM', base .. 'dead', old)
		finish(old, keep)
	end
end
return 'done'
`

// luaWriteReplay puts a dead letter at the end of its lane. ARGV: ID; how many writes and bytes there may be; state; now in ms.
const luaWriteReplay = `
local base = KEYS[1]
local id, max, bytes, state, now = unpack(ARGV)
local w = base .. 'w:' .. id
if not redis.call('ZSCORE', base .. 'dead', id) or redis.call('HEXISTS', w, 'data') == 0 then return 'unknown' end
local part, lane, size, seen = unpack(redis.call('HMGET', w, 'part', 'lane', 'size', 'seen'))
local held = tonumber(redis.call('HGET', base .. 'n', 'bytes') or '0')
if redis.call('ZCARD', base .. 'open') >= tonumber(max) or held + tonumber(size) > tonumber(bytes) then return 'full' end
redis.call('ZREM', base .. 'dead', id)
local place = redis.call('XADD', base .. 's:' .. part, '*', 'id', id, 'lane', lane)
redis.call('HSET', w, 'state', state, 'place', place)
redis.call('ZADD', base .. 'open', now, id)
redis.call('HINCRBY', base .. 'n', 'bytes', size)
redis.call('HINCRBY', base .. 'n', 'p' .. part, 1)
if seen and seen ~= '' then redis.call('ZADD', base .. 'u:' .. seen, redis.call('HINCRBY', base .. 'n', 'serial', 1), id) end
return 'done'
`

// luaWriteDrop removes a dead letter. ARGV: ID; how long to keep its state in ms.
const luaWriteDrop = `
if redis.call('ZREM', base .. 'dead', ARGV[1]) == 0 then return 'unknown' end
finish(ARGV[1], ARGV[2])
return 'done'
`

// luaWriteSweep removes dead letters that are too old. ARGV: before when in ms; how long to keep their states in ms; how many at once.
const luaWriteSweep = `
for _, id in ipairs(redis.call('ZRANGEBYSCORE', base .. 'dead', '-inf', '(' .. ARGV[1], 'LIMIT', 0, ARGV[3])) do
	redis.call('ZREM', base .. 'dead', id)
	finish(id, ARGV[2])
end
return 'done'
`
