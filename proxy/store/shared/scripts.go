package shared

import "github.com/redis/go-redis/v9"

// scripts are the Lua scripts for objects. Redis runs each of them atomically. All keys of a script
// belong to one object and so to one slot; the scripts derive the names of the segments from the
// object's key.
type scripts struct {
	put, remove *redis.Script
}

func newScripts() scripts {
	return scripts{put: redis.NewScript(luaObject + luaPut), remove: redis.NewScript(luaObject + luaRemove)}
}

// luaObject is the common beginning of both scripts. It reads the index in the form of layout.go.
const luaObject = `
local key, tag = KEYS[1], ARGV[1]
local HEAD, FIXED = 10, 78

local function segment(nonce, n)
	return string.format('%s:%08x:%d', key, nonce, n)
end

-- parse returns the fixed part of the record at pos, or nil if it is malformed.
local function parse(s, pos)
	if #s - pos + 1 < FIXED then return nil end
	local r = {}
	r.len, r.id, r.stamp, r.nonce, r.segments, r.high, r.low, r.over, r.expiry =
		struct.unpack('>I2c8c8I4I2I4I4I8I8', s, pos)
	if r.len < FIXED or pos + r.len - 1 > #s then return nil end
	r.all = s:sub(pos, pos + r.len - 1)
	return r
end

-- records returns the readable records of an index, and whether these are all.
local function records(index)
	local list, pos = {}, HEAD + 1
	while pos <= #index do
		local r = parse(index, pos)
		if not r then return list, false end
		list[#list + 1] = r
		pos = pos + r.len
	end
	return list, true
end

-- drop removes the segments of a record.
local function drop(r)
	for n = 0, r.segments - 1 do redis.call('UNLINK', segment(r.nonce, n)) end
end

local index = redis.pcall('HGET', key, 'i')
local readable = type(index) == 'string' and #index >= HEAD and index:sub(1, 2) == 'I\1'
local list, whole = {}, false
if readable then list, whole = records(index) end
`

// Results of luaPut.
const (
	putDone   = 0
	putFenced = 1 // the variant to replace was stored under a newer fence
	putGone   = 3 // the entry to replace is not stored any more
	putLost   = 4 // a segment has been evicted
)

// luaPut stores a variant. ARGV: tag; now in milliseconds; maximum number of variants, 0 for no
// limit; the record; the value; the stamp of the entry that it must replace, or "" if there is no
// such condition.
const luaPut = `
local now, most, old = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[6]
local new = parse(ARGV[4], 1)

-- The segments were written with a short expiry. From here on they live as long as the variant.
for n = 0, new.segments - 1 do
	if redis.call('PEXPIRE', segment(new.nonce, n), string.format('%.0f', new.expiry - now)) == 0 then return 4 end
end

local function place()
	for i, r in ipairs(list) do
		if r.id == new.id then
			if old ~= '' and r.stamp ~= old then return nil, 3 end
			-- A fill without a lease has fence 0, so its order is unknown.
			local fenced = new.high + new.low > 0 and (new.high < r.high or new.high == r.high and new.low < r.low)
			if fenced and old == '' then return nil, 1 end
			return i
		end
	end
	if old ~= '' then return nil, 3 end
	for i, r in ipairs(list) do
		if r.over < now then return i end
	end
	-- Evict the oldest variant. Redis does not know how often each is used; the instances keep hot variants in memory.
	if most > 0 and #list >= most then return #list end
	return 0
end

-- An object that is unreadable or belongs to another key is replaced.
if not whole or index:sub(3, HEAD) ~= tag then
	if old ~= '' then return 3 end
	if index then redis.call('UNLINK', key) end
	for _, r in ipairs(list) do drop(r) end
	list = {}
end
local at, refused = place()
if refused then return refused end

local parts, last = {'I\1', tag}, new.expiry
if old == '' then parts[3] = new.all end
for i, r in ipairs(list) do
	if i ~= at then
		parts[#parts + 1] = r.all
		last = math.max(last, r.expiry)
	elseif old ~= '' then
		parts[#parts + 1] = new.all
	end
end
redis.call('HSET', key, 'i', table.concat(parts), 'v' .. new.id, ARGV[5])
if at > 0 then
	local r = list[at]
	if r.id ~= new.id then redis.call('HDEL', key, 'v' .. r.id) end
	drop(r)
end
redis.call('PEXPIRE', key, string.format('%.0f', last - now))
return 0
`

// luaRemove removes an object. ARGV: the tag that a readable index must have, or "" to remove any
// object.
const luaRemove = `
if tag ~= '' and readable and index:sub(3, HEAD) ~= tag then return 0 end
for _, r in ipairs(list) do drop(r) end
return redis.call('UNLINK', key)
`
