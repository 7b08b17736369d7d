package shared

// The history of purges in Redis, all of it in one slot:
//
//	history    hash    era, seq (number of the newest purge), turn and run (which server process has written last, see below), turn:N (the seq
//	                   at which that one began, and who it was), f:… (floors), gone (newest purge of an object that is no longer remembered)
//	stream     stream  the last purges, with seq-0 for an id, so that no clock has a say in their order
//	marks      zset    the newest seq of each target, capped: what is forgotten leaves a floor
//	objects    zset    the same for single objects that were purged hard, which are forgotten after a while
//	times      hash    when the soft purges and those of objects were made
//	instances  zset    who lives, by the time until which that is certain
//
// A server that starts empty has no era and gets one, by which all instances see that the history is lost. A server that is restarted with an
// older state, or a replica that takes over without the last purges, has the era, and would number the next purges as lost ones were. So each
// process that writes notes where it began: an instance that has applied a later purge than the next process knew of finds out, and purges
// everything for all (mend), since nobody knows any more what the lost ones were.
const scriptOpen = `
local history, stream, marks, objects, times, instances = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function int(n) return string.format('%.0f', n) end

local function whole()
	local had = redis.call('HMGET', history, 'era', 'marks', 'objects')
	return had[1] and tonumber(had[2]) == redis.call('ZCARD', marks) and tonumber(had[3]) == redis.call('ZCARD', objects)
end

local function count()
	redis.call('HSET', history, 'marks', redis.call('ZCARD', marks), 'objects', redis.call('ZCARD', objects))
end

if not whole() then
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

local function append(...)
	local id = int(seq) .. '-0'
	local done = redis.pcall('XADD', stream, 'MAXLEN', '~', ARGV[2], id, ...)
	if type(done) == 'table' and done.err then -- it is ahead, as only a part of the keys was lost
		redis.call('DEL', stream)
		redis.call('XADD', stream, id, ...)
	end
	redis.call('HSET', history, 'seq', int(seq))
end
`

// scriptPurge makes a purge. ARGV: a new era, length of the stream, cap of marks, cap of objects, window of objects in ms, at in ms, soft, encoded
// targets, who waits for word, under which name, and then the members for marks and objects.
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
		if not first[1] or tonumber(redis.call('HGET', times, first[1]) or 0) > now - tonumber(ARGV[5]) then return end
		redis.call('ZREM', objects, first[1])
		redis.call('HDEL', times, first[1])
		redis.call('HSET', history, 'gone', int(tonumber(first[2])))
	end
end

seq = seq + 1
for i = 11, #ARGV do
	local member = ARGV[i]
	local kind = string.sub(member, 1, 2)
	if kind == '5h' then
		redis.call('ZADD', objects, int(seq), member)
		redis.call('HSET', times, member, int(now))
	else
		redis.call('ZADD', marks, int(seq), member)
		if ARGV[7] == '1' then redis.call('HSET', times, member, ARGV[6]) end
	end
end
while redis.call('ZCARD', marks) > tonumber(ARGV[3]) do forget(marks, redis.call('ZPOPMIN', marks)) end
expire()
while redis.call('ZCARD', objects) > tonumber(ARGV[4]) do forget(objects, redis.call('ZPOPMIN', objects)) end
count()
append('era', era, 'at', ARGV[6], 'soft', ARGV[7], 'targets', ARGV[8], 'to', ARGV[9], 'id', ARGV[10])
return {era, int(seq), redis.call('ZRANGEBYSCORE', instances, '(' .. int(now), '+inf')}
`

// scriptSync tells an instance where it stands, and that it lives. ARGV: a new era, length of the stream, the instance's name, for how many ms it is
// certain to live, its era, seq, turn and run, and the encoding of a purge of everything. Returns the mode, era, seq, turn, run, and with mode "full"
// the state.
const scriptSync = scriptOpen + `
redis.call('ZREMRANGEBYSCORE', instances, '-inf', int(now))
redis.call('ZADD', instances, int(now + tonumber(ARGV[4])), ARGV[3])
redis.call('PEXPIRE', instances, 600000)
local had = {era = ARGV[5], seq = tonumber(ARGV[6]), turn = tonumber(ARGV[7]), run = ARGV[8]}

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
local head = {mode, era, int(seq), int(turn), run}
if mode ~= 'full' then return head end
head[6] = redis.call('HGETALL', history)
head[7] = redis.call('ZRANGE', marks, 0, -1, 'WITHSCORES')
head[8] = redis.call('ZRANGE', objects, 0, -1, 'WITHSCORES')
head[9] = redis.call('HGETALL', times)
return head
`

// scriptLive lists who lives. ARGV: none.
const scriptLive = `
local clock = redis.call('TIME')
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000)), '+inf')
`

// scriptAcknowledge pushes words to the lists of those who wait for them. KEYS: one list for each word in ARGV, after the time in ms that lists are
// kept.
const scriptAcknowledge = `
for i, key in ipairs(KEYS) do
	redis.call('RPUSH', key, ARGV[i + 1])
	redis.call('PEXPIRE', key, ARGV[1])
end
`
