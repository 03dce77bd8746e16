-- Asks for the lines of the file BENCH_TARGETS in turn, where that is set; else for one URL again and again.
local path = os.getenv("BENCH_TARGETS")
if path then
    local requests, turn = {}, 0
    init = function()
        for line in io.lines(path) do requests[#requests + 1] = wrk.format("GET", line) end
    end
    request = function()
        turn = turn % #requests + 1
        return requests[turn]
    end
end

-- One line of JSON at the end of a wrk run: times in milliseconds, errors of every sort added up.
done = function(summary, latency, requests)
    local e = summary.errors
    print(string.format('{"requests":%d,"seconds":%.6f,"p50":%.3f,"p99":%.3f,"errors":%d}',
        summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
        e.status + e.timeout + e.connect + e.read + e.write))
end
