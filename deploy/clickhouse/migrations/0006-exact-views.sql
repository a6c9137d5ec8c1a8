-- What a reader sees that must never count a replayed row twice. A row and its repetition always lie in one partition.
CREATE OR REPLACE VIEW ${database}.spans_exact ${on_cluster} AS
SELECT * FROM ${database}.spans FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW ${database}.node_trace_logs_exact ${on_cluster} AS
SELECT * FROM ${database}.node_trace_logs FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW ${database}.node_logs_exact ${on_cluster} AS
SELECT * FROM ${database}.node_logs FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW ${database}.trace_fragments_exact ${on_cluster} AS
SELECT * FROM ${database}.trace_fragments FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE OR REPLACE VIEW ${database}.id_lookup_exact ${on_cluster} AS
SELECT
    id,
    kind,
    app_id,
    sid,
    min(min_time) AS min_time,
    max(max_time) AS max_time,
    min(min_received_at) AS min_received_at,
    max(max_received_at) AS max_received_at
FROM ${database}.id_lookup
GROUP BY id, kind, app_id, sid;
