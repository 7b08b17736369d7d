package shared

// The history of purges in Redis. All its keys are in one slot:
//
//	history    hash    era; seq (number of the newest purge); turn and run (the server process that wrote last, see below);
//	                   turn:N (the seq at which process N began, and its run id); f:… (floors);
//	                   gone (newest purge of an object that is no longer remembered)
//	stream     stream  the latest purges, with seq-0 as id, so that their order does not depend on a clock
//	marks      zset    the newest seq of each target, up to a limit: a forgotten target raises a floor
//	objects    zset    the same for single objects that were purged hard; these are forgotten after a while
//	times      hash    the times of soft purges and of purges of objects
//	instances  zset    the members of the fleet, by the time until which a purge waits for them: an instance that was not heard
//	                   of until then no longer serves stored responses without validation
//
// An instance also reports the members that it knows if it learned them from another server
// process, or from a history that was lost. So members that are cut off are remembered even if the
// server has started empty or with an older state, or if a replica has taken over that had not
// received them.
//
// If a server starts empty, it gets a new era, which tells all instances that the history is lost.
// A server that restarts with an older state, or a replica that takes over without the latest
// purges, keeps the era and would give lost numbers to new purges. So each server process that
// writes records the seq at which it began. If an instance has applied a later purge, it detects
// the loss and purges everything for all instances, because the lost purges are unknown. The older
// state may also have an older era, which would bring responses of that time back to life. So later
// eras have greater names: if a server has an older era than an instance knows, it gets a new one.
const scriptOpen = `
local history, stream, marks, objects, times, instances = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function int(n) return string.format('%.0f', n) end

local function whole()
	local had = redis.call('HMGET', history, 'era', 'marks', 'objects', 'members')
	return had[1] and tonumber(had[2]) == redis.call('ZCARD', marks) and tonumber(had[3]) == redis.call('ZCARD', objects)
		and (not had[4] or redis.call('EXISTS', instances) == 1)
end

local function count()
	redis.call('HSET', history, 'marks', redis.call('ZCARD', marks), 'objects', redis.call('ZCARD', objects))
end

-- older compares the names of eras as strings, because they are too large for Lua's numbers.
local function older(era, other) return #era < #other or #era == #other and era < other end

if not whole() or older(redis.call('HGET', history, 'era'), ARGV[2]) then
	redis.call('DEL', history, stream, marks, objects, times)
	redis.call('HSET', history, 'era', ARGV[1], 'seq', 0, 'turn', 0, 'gone', 0)
	count()
end
local era = redis.call('HGET', history, 'era')
local seq = tonumber(redis.call('HGET', history, 'seq'))
local turn = tonumber(redis.call('HGET', history, 'turn'))
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
if redis.call('HGET', history, 'run') ~= run then
	turn = turn + 1
	redis.call('HSET', history, 'turn', turn, 'run', run, 'turn:' .. turn, int(seq) .. ' ' .. run)
	redis.call('HDEL', history, 'turn:' .. (turn - 64))
end

-- admit adds the members that an instance knows from another server process, or from a history that was lost.
local function admit(knownEra, knownRun, members)
	if knownEra == era and knownRun == run or members == '' then return end
	for name, left in pairs(cjson.decode(members)) do
		redis.call('ZADD', instances, 'GT', int(now + left), name)
	end
	redis.call('HSET', history, 'members', 1)
end

local function append(...)
	local id = int(seq) .. '-0'
	local done = redis.pcall('XADD', stream, 'MAXLEN', '~', ARGV[3], id, ...)
	if type(done) == 'table' and done.err then -- the stream is ahead, because only a part of the keys was lost
		redis.call('DEL', stream)
		redis.call('XADD', stream, id, ...)
	end
	redis.call('HSET', history, 'seq', int(seq))
end
`

// scriptPurge records a purge. ARGV: a new era, the instance's era, length of the stream, limit of
// marks, limit of objects, window of objects in ms, at in ms, soft, encoded targets, the instance
// that waits for acknowledgements, the id of its wait, the instance's run, the members that it
// knows, and then the set members for marks and objects.
const scriptPurge = scriptOpen + `
local function forget(set, popped)
	local member = popped[1]
	local at = redis.call('HGET', times, member) or '0'
	redis.call('HSET', history, 'f:' .. string.sub(member, 1, 5), int(tonumber(popped[2])) .. ' ' .. at)
	redis.call('HDEL', times, member)
end

local function expire()
	for _ = 1, 16 do
		local first = redis.call('ZRANGE', objects, 0, 0, 'WITHSCORES')
		if not first[1] or tonumber(redis.call('HGET', times, first[1]) or 0) > now - tonumber(ARGV[6]) then return end
		redis.call('ZREM', objects, first[1])
		redis.call('HDEL', times, first[1])
		redis.call('HSET', history, 'gone', int(tonumber(first[2])))
	end
end

admit(ARGV[2], ARGV[12], ARGV[13])
seq = seq + 1
for i = 14, #ARGV do
	local member = ARGV[i]
	local kind = string.sub(member, 1, 2)
	if kind == '5h' then
		redis.call('ZADD', objects, int(seq), member)
		redis.call('HSET', times, member, int(now))
	else
		redis.call('ZADD', marks, int(seq), member)
		if ARGV[8] == '1' then redis.call('HSET', times, member, ARGV[7]) end
	end
end
while redis.call('ZCARD', marks) > tonumber(ARGV[4]) do forget(marks, redis.call('ZPOPMIN', marks)) end
expire()
while redis.call('ZCARD', objects) > tonumber(ARGV[5]) do forget(objects, redis.call('ZPOPMIN', objects)) end
count()
append('era', era, 'at', ARGV[7], 'soft', ARGV[8], 'targets', ARGV[9], 'to', ARGV[10], 'id', ARGV[11])
return {era, int(seq), redis.call('ZRANGEBYSCORE', instances, '(' .. int(now), '+inf')}
`

// scriptSync returns the state of the history to an instance, and makes the instance a member.
// ARGV: a new era, the instance's era, length of the stream, its name, the time in ms that purges
// wait for it, its seq, turn and run, the encoding of a purge of everything, and the members that
// it knows. It returns the mode, era, seq, turn, run, and the members. If the mode is "full", the contents of the history follow.
const scriptSync = scriptOpen + `
admit(ARGV[2], ARGV[8], ARGV[10])
redis.call('ZREMRANGEBYSCORE', instances, '-inf', int(now))
redis.call('ZADD', instances, int(now + tonumber(ARGV[5])), ARGV[4])
redis.call('PERSIST', instances)
redis.call('HSET', history, 'members', 1)
local had = {era = ARGV[2], seq = tonumber(ARGV[6]), turn = tonumber(ARGV[7]), run = ARGV[8]}

local function lost()
	if had.seq > seq then return true end
	if had.turn == turn and had.run == run then return false end
	local was = redis.call('HGET', history, 'turn:' .. had.turn)
	local after = redis.call('HGET', history, 'turn:' .. (had.turn + 1))
	if not was or not after or string.match(was, ' (%w+)') ~= had.run then return true end
	return tonumber(string.match(after, '^%d+')) < had.seq
end

local mode = 'full'
if had.era == era then
	if lost() then
		seq = math.max(seq, had.seq) + 1
		redis.call('ZADD', marks, int(seq), '0h000:')
		count()
		append('era', era, 'at', int(now), 'soft', '0', 'targets', ARGV[9], 'to', '', 'id', '')
	elseif had.seq == seq then
		mode = 'same'
	else
		local next = int(had.seq + 1) .. '-0'
		if redis.call('XRANGE', stream, next, next)[1] then mode = 'replay' end
	end
end
local head = {mode, era, int(seq), int(turn), run, redis.call('ZRANGE', instances, 0, -1)}
if mode ~= 'full' then return head end
head[7] = redis.call('HGETALL', history)
head[8] = redis.call('ZRANGE', marks, 0, -1, 'WITHSCORES')
head[9] = redis.call('ZRANGE', objects, 0, -1, 'WITHSCORES')
head[10] = redis.call('HGETALL', times)
return head
`

// scriptLeave ends a membership. KEYS: history, instances. ARGV: the instance's name.
const scriptLeave = `
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('HDEL', KEYS[1], 'members') end
`

// scriptLive returns the members. It takes no arguments.
const scriptLive = `
local clock = redis.call('TIME')
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000)), '+inf')
`

// scriptAcknowledge appends acknowledgements to the lists of the waiting instances. KEYS: the list
// for each acknowledgement. ARGV: the time in ms for which lists are kept, then the
// acknowledgements.
const scriptAcknowledge = `
for i, key in ipairs(KEYS) do
	redis.call('RPUSH', key, ARGV[i + 1])
	redis.call('PEXPIRE', key, ARGV[1])
end
`
