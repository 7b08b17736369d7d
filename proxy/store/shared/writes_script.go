package shared

// Lua scripts for the queue of writes. KEYS[1] is the prefix of all keys:
//
//	w:ID     hash: data (until the write has ended), outline, state, part, lane, place (in the stream), from (the place before
//	         it was put back), size, key, seen, at, over (set if it must not be applied)
//	a:ID     the remains of a lost write
//	i:KEY    ID and payload digest of an Idempotency-Key
//	s:PART   stream of IDs, lanes, sizes and read names, with the consumer group "workers"
//	l:PART   token of the lease of a part
//	open     sorted set of the pending writes, by time of acceptance
//	u:SEEN   sorted set of the writes that reads see under a name, in order of acceptance
//	dead     sorted set of the dead letters, by time of death
//	live     sorted set of the working instances, by the end of their membership
//	n        hash: bytes (queued); serial; lost (number of writes); pPART, which grows with each write of a part

// luaWriteAdd stores a write. It returns its ID, or the ID of the write with the same
// Idempotency-Key, or "conflict", or "full".
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
local place = redis.call('XADD', base .. 's:' .. part, '*', 'id', id, 'lane', lane, 'size', size, 'seen', seen)
redis.call('HSET', base .. 'w:' .. id, 'data', data, 'outline', outline, 'state', state, 'part', part, 'lane', lane, 'place', place,
	'size', size, 'key', key, 'seen', seen, 'at', at)
if key ~= '' then redis.call('SET', base .. 'i:' .. key, id .. print) end
redis.call('ZADD', base .. 'open', at, id)
redis.call('HINCRBY', base .. 'n', 'bytes', size)
redis.call('HINCRBY', base .. 'n', 'p' .. part, 1)
if seen ~= '' then redis.call('ZADD', base .. 'u:' .. seen, redis.call('HINCRBY', base .. 'n', 'serial', 1), id) end
return id
`

// luaWriteBeat renews the membership and the leases of an instance, and takes more leases up to its
// share. ARGV: instance; duration in ms; number of parts; the part at which to begin taking, or -1
// to take none; the token of leases that are taken; the held tokens, "" for a part that is not held. It returns the share, the tokens
// that the instance holds now, and the identity of the server, "" if INFO is not allowed.
const luaWriteBeat = `
local base, instance, ttl, parts, first, fresh = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZADD', base .. 'live', now + ttl, instance)
redis.call('ZREMRANGEBYSCORE', base .. 'live', '-inf', now)
local share = math.ceil(parts / redis.call('ZCARD', base .. 'live'))
local tokens, held = {}, 0
for p = 0, parts - 1 do
	local token = ARGV[6 + p]
	tokens[p] = ''
	if token ~= '' and redis.call('GET', base .. 'l:' .. p) == token then
		redis.call('PEXPIRE', base .. 'l:' .. p, ttl)
		tokens[p], held = token, held + 1
	end
end
for n = 0, first >= 0 and parts - 1 or -1 do
	local p = (first + n) % parts
	if held < share and tokens[p] == '' and redis.call('EXISTS', base .. 'l:' .. p) == 0 then
		redis.call('SET', base .. 'l:' .. p, fresh, 'PX', ttl)
		tokens[p], held = fresh, held + 1
	end
end
local reply = {tostring(share)}
for p = 0, parts - 1 do reply[#reply + 1] = tokens[p] end
local server, replication = redis.pcall('INFO', 'server'), redis.pcall('INFO', 'replication')
if type(server) == 'string' and type(replication) == 'string' then
	reply[#reply + 1] = (server:match('run_id:(%w+)') or '') .. ' ' .. (replication:match('master_replid:(%w+)') or '')
else
	reply[#reply + 1] = ''
end
return reply
`

// luaWriteRead reads the queued writes of a part: first the unsettled writes of former holders,
// from a position on, then unread ones. ARGV: part; token; instance; the position to claim from, or
// "" to read unread writes; maximum number. It returns "lost" if the token does not match, and
// otherwise the next position to claim from, and the entries.
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

// luaWriteEnd is the common beginning of the scripts that finish a write.
const luaWriteEnd = `
local base = KEYS[1]

-- finish removes the payload of a write and lets its state expire.
local function finish(id, keep)
	local w = base .. 'w:' .. id
	redis.call('HDEL', w, 'data')
	redis.call('PEXPIRE', w, keep)
	local key = redis.call('HGET', w, 'key')
	if key and key ~= '' then redis.call('PEXPIRE', base .. 'i:' .. key, keep) end
end

-- lose records that a write is missing or unreadable and was not applied. Its remains are kept for aside ms.
local function lose(id, state, outline, keep, aside, size, seen)
	local w = base .. 'w:' .. id
	if redis.call('HEXISTS', w, 'over') == 1 then return 'done' end
	redis.call('ZREM', base .. 'open', id)
	size, seen = redis.call('HGET', w, 'size') or size, redis.call('HGET', w, 'seen') or seen
	redis.call('HINCRBY', base .. 'n', 'bytes', 0 - (tonumber(size or '') or 0))
	if seen and seen ~= '' then redis.call('ZREM', base .. 'u:' .. seen, id) end
	local data = redis.call('HGET', w, 'data')
	if data then redis.call('SET', base .. 'a:' .. id, data, 'PX', aside) end
	if redis.call('HEXISTS', w, 'outline') == 0 then redis.call('HSET', w, 'outline', outline) end
	redis.call('HSET', w, 'state', state, 'over', '1')
	redis.call('HINCRBY', base .. 'n', 'lost', 1)
	finish(id, keep)
	return 'counted'
end
`

// luaWritePut records the result of a write. ARGV: part; token; place; ID; state; "retry", "end",
// "bury" or "lose"; time to keep in ms; maximum of dead letters; now in ms; an outline in case the
// write is lost; time to keep its remains. It returns "lost" if the token does not match, and
// "counted" if the write was found to be lost. A result is recorded only once.
const luaWritePut = `
local part, token, place, id, state, what, keep, dead, now, outline, aside = unpack(ARGV)
if redis.call('GET', base .. 'l:' .. part) ~= token then return 'lost' end
local w = base .. 'w:' .. id
if what == 'retry' then
	if redis.call('EXISTS', w) == 1 then redis.call('HSET', w, 'state', state) end
	return 'done'
end
local stream, entry = base .. 's:' .. part, {}
local found = redis.call('XRANGE', base .. 's:' .. part, place, place)[1]
for i = 1, found and #found[2] or 0, 2 do entry[found[2][i]] = found[2][i + 1] end
redis.pcall('XACK', stream, 'workers', place)
if redis.call('XDEL', stream, place) == 0 then
	local at, from, over = unpack(redis.call('HMGET', w, 'place', 'from', 'over'))
	if over or not at or (at ~= place and from ~= place) then return 'done' end
	redis.pcall('XACK', stream, 'workers', at) -- Redis had lost the stream, so the write was put back
	redis.call('XDEL', stream, at)
end
if what == 'lose' then return lose(id, state, outline, keep, aside, entry.size, entry.seen) end
redis.call('ZREM', base .. 'open', id)
if redis.call('HEXISTS', w, 'part') == 0 then -- Redis lost the write while it was applied
	redis.call('HINCRBY', base .. 'n', 'bytes', 0 - (tonumber(entry.size or '') or 0))
	if redis.call('HEXISTS', w, 'over') == 1 then redis.call('HSET', w, 'state', state) end
	return 'done'
end
redis.call('HSET', w, 'state', state, 'over', '1')
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

// luaWriteReplay puts a dead letter at the end of its lane. ARGV: ID; limits of writes and bytes;
// state; now in ms.
const luaWriteReplay = `
local base = KEYS[1]
local id, max, bytes, state, now = unpack(ARGV)
local w = base .. 'w:' .. id
if not redis.call('ZSCORE', base .. 'dead', id) or redis.call('HEXISTS', w, 'data') == 0 then return 'unknown' end
local part, lane, size, seen = unpack(redis.call('HMGET', w, 'part', 'lane', 'size', 'seen'))
local held = tonumber(redis.call('HGET', base .. 'n', 'bytes') or '0')
if redis.call('ZCARD', base .. 'open') >= tonumber(max) or held + tonumber(size) > tonumber(bytes) then return 'full' end
redis.call('ZREM', base .. 'dead', id)
local place = redis.call('XADD', base .. 's:' .. part, '*', 'id', id, 'lane', lane, 'size', size, 'seen', seen or '')
redis.call('HDEL', w, 'over', 'from')
redis.call('HSET', w, 'state', state, 'place', place)
redis.call('ZADD', base .. 'open', now, id)
redis.call('HINCRBY', base .. 'n', 'bytes', size)
redis.call('HINCRBY', base .. 'n', 'p' .. part, 1)
if seen and seen ~= '' then redis.call('ZADD', base .. 'u:' .. seen, redis.call('HINCRBY', base .. 'n', 'serial', 1), id) end
return 'done'
`

// luaWriteDrop removes a dead letter. ARGV: ID; time to keep its state in ms; the state.
const luaWriteDrop = `
if redis.call('ZREM', base .. 'dead', ARGV[1]) == 0 then return 'unknown' end
redis.call('HSET', base .. 'w:' .. ARGV[1], 'state', ARGV[3])
finish(ARGV[1], ARGV[2])
return 'done'
`

// luaWriteSweep removes old dead letters. ARGV: the time before which they died, in ms; time to
// keep their states in ms; maximum number.
const luaWriteSweep = `
for _, id in ipairs(redis.call('ZRANGEBYSCORE', base .. 'dead', '-inf', '(' .. ARGV[1], 'LIMIT', 0, ARGV[3])) do
	redis.call('ZREM', base .. 'dead', id)
	finish(id, ARGV[2])
end
return 'done'
`

// luaWriteLose records that a write is gone. ARGV: ID; state; outline; time to keep these in ms,
// and the remains. It returns "counted" if this was not recorded before.
const luaWriteLose = `
return lose(ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5])
`

// luaWriteAside removes an unreadable dead letter from the list. ARGV: ID; state; outline; time to
// keep these in ms, and the remains.
const luaWriteAside = `
local id, state, outline, keep, aside = unpack(ARGV)
if redis.call('ZREM', base .. 'dead', id) == 0 then return 'done' end
local w = base .. 'w:' .. id
local data = redis.call('HGET', w, 'data')
if data then redis.call('SET', base .. 'a:' .. id, data, 'PX', aside) end
redis.call('HSET', w, 'outline', outline, 'state', state, 'over', '1')
redis.call('HINCRBY', base .. 'n', 'lost', 1)
finish(id, keep)
return 'counted'
`

// luaWriteAudit checks pending writes: some of the listed ones, and the given ones. If the stream
// has lost a write, it is put back at the end. ARGV: first position in the list; number of listed
// writes; IDs. It returns the IDs of missing writes, the IDs of finished writes, the number put
// back, and the number taken from the list.
const luaWriteAudit = `
local base = KEYS[1]
local missing, settled, back = {}, {}, 0
local function audit(id)
	local w = base .. 'w:' .. id
	local part, place, lane, size, seen, at, over = unpack(redis.call('HMGET', w, 'part', 'place', 'lane', 'size', 'seen', 'at', 'over'))
	if not part and not over then
		missing[#missing + 1] = id
		return
	end
	if over or redis.call('HEXISTS', w, 'data') == 0 or redis.call('ZSCORE', base .. 'dead', id) then
		redis.call('ZREM', base .. 'open', id)
		settled[#settled + 1] = id
		return
	end
	redis.call('ZADD', base .. 'open', 'NX', at, id)
	if #redis.call('XRANGE', base .. 's:' .. part, place, place) == 0 then
		local again = redis.call('XADD', base .. 's:' .. part, '*', 'id', id, 'lane', lane, 'size', size, 'seen', seen or '')
		redis.call('HSET', w, 'place', again, 'from', place)
		redis.call('HINCRBY', base .. 'n', 'p' .. part, 1)
		back = back + 1
	end
end
local listed = redis.call('ZRANGE', base .. 'open', ARGV[1], ARGV[1] + ARGV[2] - 1)
for _, id in ipairs(listed) do audit(id) end
for i = 3, #ARGV do audit(ARGV[i]) end
if redis.call('ZCARD', base .. 'open') == 0 and #missing == 0 then redis.call('HSET', base .. 'n', 'bytes', 0) end
return {missing, settled, back, #listed}
`

// luaWriteSettings returns the settings that decide how durably Redis keeps writes: the eviction
// policy, the memory limit, and whether it has an append-only file. An unknown value is "".
const luaWriteSettings = `
redis.call('EXISTS', KEYS[1])
local function info(section)
	local text = redis.pcall('INFO', section)
	return type(text) == 'string' and text or ''
end
local memory, persistence = info('memory'), info('persistence')
return {memory:match('maxmemory_policy:(%S+)') or '', memory:match('maxmemory:(%d+)') or '', persistence:match('aof_enabled:(%d)') or ''}
`
