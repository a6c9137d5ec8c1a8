-- One row a fragment (one flush of a trace) and app, over that app's own records: sets and versioned facts, never sums.
-- fragment_id is a hash of the row's own facts and reason: equal rows collapse, all others stay, and the view traces merges them.
CREATE TABLE IF NOT EXISTS ${database}.trace_fragments ${on_cluster}
(
    app_id LowCardinality(String),
    sid String CODEC(ZSTD(1)),
    fragment_id UInt64 CODEC(ZSTD(1)),
    first_received_at DateTime64(9, 'UTC') COMMENT 'Append time of the first record: the t of the key' CODEC(Delta, ZSTD(1)),
    received_at DateTime64(9, 'UTC') COMMENT 'Append time of the last record' CODEC(Delta, ZSTD(1)),
    reason LowCardinality(String) COMMENT 'Why this flush was made: complete, late, idle, max_age, span_limit, bytes_limit, memory_pressure',
    start_time DateTime64(9, 'UTC') COMMENT 'Earliest start; 1970 = none' CODEC(Delta, ZSTD(1)),
    end_time DateTime64(9, 'UTC') COMMENT 'Latest end; 1970 = none' CODEC(Delta, ZSTD(1)),
    trace_ids Array(String) CODEC(ZSTD(1)),
    services Array(LowCardinality(String)) CODEC(ZSTD(1)),
    root_name String COMMENT 'Of the earliest root without a parent, else with a remote one' CODEC(ZSTD(1)),
    root_service LowCardinality(String),
    root_start_time DateTime64(9, 'UTC') COMMENT '1970 = no root here' CODEC(Delta, ZSTD(1)),
    remote_roots Array(Tuple(start_time DateTime64(9, 'UTC'), name String, service String, parent UInt64)) COMMENT 'Without a root that has no parent: those with a remote parent, and its key' CODEC(ZSTD(1)),
    identities Array(Tuple(service String, uid String, chat_id String)) CODEC(ZSTD(1)),
    span_keys Array(UInt64) COMMENT 'Hashes of (trace id, span id)' CODEC(ZSTD(1)),
    error_keys Array(UInt64) COMMENT 'Those of span_keys that are errors' CODEC(ZSTD(1)),
    missing_parents Array(UInt64) COMMENT 'Hashes of (trace id, parent span id) that are nowhere in the whole fragment' CODEC(ZSTD(1)),
    trace_keys Array(UInt64) COMMENT 'Hashes of trace ids' CODEC(ZSTD(1)),
    rooted_trace_keys Array(UInt64) COMMENT 'Those of trace_keys that have a root' CODEC(ZSTD(1)),
    node_keys Array(UInt64) COMMENT 'Hashes of (log id, place)' CODEC(ZSTD(1)),
    node_facts Array(Tuple(version UInt64, is_error UInt8, question_tokens Int64, prompt_tokens Int64, completion_tokens Int64, total_tokens Int64)) COMMENT 'Beside node_keys' CODEC(ZSTD(1)),
    log_keys Array(UInt64) COMMENT 'Hashes of log ids' CODEC(ZSTD(1)),
    log_facts Array(Tuple(version UInt64, is_error UInt8, question_tokens Int64, prompt_tokens Int64, completion_tokens Int64, total_tokens Int64)) COMMENT 'Beside log_keys: what the sender claimed for the whole log' CODEC(ZSTD(1)),
    node_id_keys Array(UInt64) COMMENT 'Hashes of (log id, id) and (log id, node id) of the nodes that are there' CODEC(ZSTD(1)),
    announced Array(Tuple(log UInt64, node UInt64)) COMMENT 'Hash of the log id, hash of (log id, announced id)' CODEC(ZSTD(1)),
    ended_logs Array(UInt64) COMMENT 'Hashes of the log ids in which an end node has ended' CODEC(ZSTD(1)),
    version UInt64 CODEC(Delta, ZSTD(1)),
    INDEX sid_bloom sid TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = ${replicated}ReplacingMergeTree(version)
PARTITION BY toDate(first_received_at)
PRIMARY KEY (app_id, toStartOfMinute(first_received_at), xxHash32(sid))
ORDER BY (app_id, toStartOfMinute(first_received_at), xxHash32(sid), sid, fragment_id)
TTL toDateTime(least(received_at + toIntervalDay(${ttl_days}), toDateTime64('2106-01-01', 9, 'UTC')))
SETTINGS ttl_only_drop_parts = 1, min_bytes_for_wide_part = 268435456;
