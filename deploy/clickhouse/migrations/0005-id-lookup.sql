-- From an id to its app, SID and time bounds. Minima and maxima only: a repeated row changes nothing.
CREATE TABLE IF NOT EXISTS ${database}.id_lookup ${on_cluster}
(
    id String CODEC(ZSTD(1)),
    kind LowCardinality(String) COMMENT 'trace, sid, chat or uid',
    app_id LowCardinality(String),
    sid String CODEC(ZSTD(1)),
    min_time SimpleAggregateFunction(min, DateTime64(9, 'UTC')) COMMENT 'Bounds of start_time of spans and log_time of logs' CODEC(ZSTD(1)),
    max_time SimpleAggregateFunction(max, DateTime64(9, 'UTC')) CODEC(ZSTD(1)),
    min_received_at SimpleAggregateFunction(min, DateTime64(9, 'UTC')) CODEC(ZSTD(1)),
    max_received_at SimpleAggregateFunction(max, DateTime64(9, 'UTC')) CODEC(ZSTD(1)),
    INDEX sid_bloom sid TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = ${replicated}AggregatingMergeTree
PARTITION BY toMonday(min_received_at)
ORDER BY (id, kind, app_id, sid)
TTL toDateTime(least(max_received_at + toIntervalDay(${ttl_days}), toDateTime64('2106-01-01', 9, 'UTC')))
SETTINGS ttl_only_drop_parts = 1, min_bytes_for_wide_part = 268435456, index_granularity = 1024;
