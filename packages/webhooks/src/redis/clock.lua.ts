/** The server's time: `now` in whole ms, `exact` with its µs. Scripts know no other. */
export const clockLua = `
local time = redis.call('TIME')
local exact = tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000
local now = math.floor(exact)
`
