-- Sends small chat requests, each of another length than the one before and, if BENCH_TRACED is set, with another trace id.
-- Prints what came of it as one line of JSON.
wrk.method = "POST"
wrk.path = os.getenv("BENCH_PATH")
wrk.headers["Authorization"] = "Bearer " .. os.getenv("BENCH_KEY")
wrk.headers["Content-Type"] = "application/json"

local kinds, requests, sent = 97, {}, 0

function init(arguments)
    local body = os.getenv("BENCH_BODY"):sub(1, -2)
    for kind = 1, kinds do
        if os.getenv("BENCH_TRACED") then
            wrk.headers["traceparent"] = string.format("00-%032x-%016x-01", kind * 7919, kind)
        end
        requests[kind] = wrk.format(nil, nil, nil, body .. string.rep(" ", kind % 50) .. "}")
    end
end

function request()
    sent = sent + 1
    return requests[sent % kinds + 1]
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        'RESULT {"requests": %d, "duration_us": %d, "failed": %d, "p50_us": %d, "p99_us": %d}\n',
        summary.requests, summary.duration,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        latency:percentile(50), latency:percentile(99)))
end
