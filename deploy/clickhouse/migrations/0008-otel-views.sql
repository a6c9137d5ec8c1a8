-- Names and types of the OpenTelemetry Collector's ClickHouse exporter, so that dashboards made for it work unchanged.
CREATE OR REPLACE VIEW ${database}.otel_traces ${on_cluster} AS
SELECT
    start_time AS Timestamp,
    trace_id AS TraceId,
    span_id AS SpanId,
    parent_span_id AS ParentSpanId,
    trace_state AS TraceState,
    name AS SpanName,
    CAST(transform(kind, [0, 1, 2, 3, 4, 5], ['Unspecified', 'Internal', 'Server', 'Client', 'Producer', 'Consumer'], toString(kind)), 'LowCardinality(String)') AS SpanKind,
    service_name AS ServiceName,
    resource_attributes AS ResourceAttributes,
    CAST(scope_name, 'String') AS ScopeName,
    CAST(scope_version, 'String') AS ScopeVersion,
    attributes AS SpanAttributes,
    duration_ns AS Duration,
    CAST(transform(status_code, [0, 1, 2], ['Unset', 'Ok', 'Error'], toString(status_code)), 'LowCardinality(String)') AS StatusCode,
    status_message AS StatusMessage,
    events.time AS `Events.Timestamp`,
    events.name AS `Events.Name`,
    events.attributes AS `Events.Attributes`,
    links.trace_id AS `Links.TraceId`,
    links.span_id AS `Links.SpanId`,
    links.trace_state AS `Links.TraceState`,
    links.attributes AS `Links.Attributes`
-- Exact: a dashboard cannot tell a replayed span from two. FINAL keeps partition, key and skip indexes (docs/sql.md has the price).
FROM ${database}.spans_exact;

-- The exporter's table from trace id to time bounds, which dashboards ask first.
CREATE OR REPLACE VIEW ${database}.otel_traces_trace_id_ts ${on_cluster} AS
SELECT
    id AS TraceId,
    toDateTime(min(min_time)) AS Start,
    toDateTime(max(max_time)) AS End
FROM ${database}.id_lookup
WHERE kind = 'trace'
GROUP BY id;
