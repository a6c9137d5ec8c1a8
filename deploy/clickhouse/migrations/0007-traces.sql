-- One row a SID: the union of its fragments, whatever their order, repetition or overlap. For looking up: WHERE sid = '...'.
CREATE OR REPLACE VIEW ${database}.traces ${on_cluster} AS
WITH
    -- Without a root that has no parent: the earliest with a remote parent that is in no fragment.
    arraySort(arrayFilter(remote -> NOT has(all_spans, remote.4), all_remote_roots))[1] AS remote_root,
    if(toUnixTimestamp64Nano(true_root.1) != 0, true_root, (remote_root.1, remote_root.2, remote_root.3)) AS root
SELECT
    sid,
    app_id,
    app_ids,
    if(missing_count = 0, 'complete', 'partial') AS status,
    multiIf(missing_count = 0, 'complete', worst_reason = 'complete', 'missing', worst_reason) AS reason,
    root.2 AS root_name,
    root.3 AS root_service,
    services,
    uid,
    chat_id,
    trace_ids,
    start_time,
    end_time,
    toUInt64(greatest(0, toUnixTimestamp64Nano(end_time) - toUnixTimestamp64Nano(start_time))) AS duration_ns,
    span_count,
    error_count,
    toUInt64(length(node_map.1)) AS node_count,
    toUInt64(arrayCount(fact -> fact.2 = 1, node_map.2)) AS node_error_count,
    toUInt64(length(log_map.1)) AS log_count,
    arraySum(fact -> fact.3, node_map.2) AS question_tokens,
    arraySum(fact -> fact.4, node_map.2) AS prompt_tokens,
    arraySum(fact -> fact.5, node_map.2) AS completion_tokens,
    arraySum(fact -> fact.6, node_map.2) AS total_tokens,
    CAST((
        arraySum(fact -> fact.3, log_map.2),
        arraySum(fact -> fact.4, log_map.2),
        arraySum(fact -> fact.5, log_map.2),
        arraySum(fact -> fact.6, log_map.2)
    ), 'Tuple(question_tokens Int64, prompt_tokens Int64, completion_tokens Int64, total_tokens Int64)') AS usage_reported,
    arrayExcept(referred_parents, all_spans) AS missing_parents,
    arrayExcept(
        arrayDistinct(arrayMap(pair -> pair.2, arrayFilter(pair -> NOT has(all_ended_logs, pair.1), all_announced))),
        all_node_ids
    ) AS missing_nodes,
    arrayExcept(all_traces, all_rooted_traces) AS unrooted_traces,
    toUInt64(length(missing_parents) + length(missing_nodes) + length(unrooted_traces)) AS missing_count,
    arrayExists(
        service -> service != '' AND (
            length(arrayDistinct(arrayFilter(value -> value != '', arrayMap(i -> i.2, arrayFilter(i -> i.1 = service, all_identities))))) > 1
            OR length(arrayDistinct(arrayFilter(value -> value != '', arrayMap(i -> i.3, arrayFilter(i -> i.1 = service, all_identities))))) > 1
            OR length(arrayDistinct(arrayFilter(value -> value != '', arrayMap(i -> i.4, arrayFilter(i -> i.1 = service, all_identities))))) > 1
        ),
        arrayDistinct(arrayMap(i -> i.1, all_identities))
    ) AS sid_collision,
    fragments,
    first_received_at,
    last_received_at
FROM
(
    SELECT
        sid,
        arraySort(groupUniqArrayIf(fragment.app_id, fragment.app_id != '')) AS app_ids,
        app_ids[1] AS app_id,
        argMax(
            reason,
            transform(reason, ['complete', 'late', 'idle', 'max_age', 'span_limit', 'bytes_limit', 'memory_pressure'], [1, 2, 3, 4, 5, 6, 7], 0)
        ) AS worst_reason,
        -- The earliest root; the name and the service only choose among roots of one time.
        minIf(
            (fragment.root_start_time, fragment.root_name, toString(fragment.root_service)),
            toUnixTimestamp64Nano(fragment.root_start_time) != 0 AND empty(remote_roots)
        ) AS true_root,
        groupUniqArrayArray(remote_roots) AS all_remote_roots,
        arraySort(groupUniqArrayArray(fragment.services)) AS services,
        groupUniqArrayArray(arrayMap(i -> (i.service, toString(fragment.app_id), i.uid, i.chat_id), identities)) AS all_identities,
        arraySort(arrayDistinct(arrayFilter(value -> value != '', arrayMap(i -> i.3, all_identities))))[1] AS uid,
        arraySort(arrayDistinct(arrayFilter(value -> value != '', arrayMap(i -> i.4, all_identities))))[1] AS chat_id,
        arraySort(groupUniqArrayArray(fragment.trace_ids)) AS trace_ids,
        minIf(fragment.start_time, toUnixTimestamp64Nano(fragment.start_time) != 0) AS start_time,
        max(fragment.end_time) AS end_time,
        uniqExactArray(span_keys) AS span_count,
        uniqExactArray(error_keys) AS error_count,
        maxMap(node_keys, node_facts) AS node_map,
        maxMap(log_keys, log_facts) AS log_map,
        groupUniqArrayArray(span_keys) AS all_spans,
        groupUniqArrayArray(fragment.missing_parents) AS referred_parents,
        groupUniqArrayArray(trace_keys) AS all_traces,
        groupUniqArrayArray(rooted_trace_keys) AS all_rooted_traces,
        groupUniqArrayArray(node_id_keys) AS all_node_ids,
        groupUniqArrayArray(announced) AS all_announced,
        groupUniqArrayArray(ended_logs) AS all_ended_logs,
        uniqExact(fragment.app_id, fragment_id) AS fragments,
        min(fragment.first_received_at) AS first_received_at,
        max(fragment.received_at) AS last_received_at
    FROM ${database}.trace_fragments AS fragment
    GROUP BY sid
);

-- For lists: the SIDs of one app that have a fragment received in [from, to), with all their fragments of the app
-- from one day before to one day after. SELECT * FROM traces_between(app = '...', from = '...', to = '...').
CREATE OR REPLACE VIEW ${database}.traces_between ${on_cluster} AS
WITH
    -- Without a root that has no parent: the earliest with a remote parent that is in no fragment.
    arraySort(arrayFilter(remote -> NOT has(all_spans, remote.4), all_remote_roots))[1] AS remote_root,
    if(toUnixTimestamp64Nano(true_root.1) != 0, true_root, (remote_root.1, remote_root.2, remote_root.3)) AS root
SELECT
    sid,
    app_id,
    app_ids,
    if(missing_count = 0, 'complete', 'partial') AS status,
    multiIf(missing_count = 0, 'complete', worst_reason = 'complete', 'missing', worst_reason) AS reason,
    root.2 AS root_name,
    root.3 AS root_service,
    services,
    uid,
    chat_id,
    trace_ids,
    start_time,
    end_time,
    toUInt64(greatest(0, toUnixTimestamp64Nano(end_time) - toUnixTimestamp64Nano(start_time))) AS duration_ns,
    span_count,
    error_count,
    toUInt64(length(node_map.1)) AS node_count,
    toUInt64(arrayCount(fact -> fact.2 = 1, node_map.2)) AS node_error_count,
    toUInt64(length(log_map.1)) AS log_count,
    arraySum(fact -> fact.3, node_map.2) AS question_tokens,
    arraySum(fact -> fact.4, node_map.2) AS prompt_tokens,
    arraySum(fact -> fact.5, node_map.2) AS completion_tokens,
    arraySum(fact -> fact.6, node_map.2) AS total_tokens,
    CAST((
        arraySum(fact -> fact.3, log_map.2),
        arraySum(fact -> fact.4, log_map.2),
        arraySum(fact -> fact.5, log_map.2),
        arraySum(fact -> fact.6, log_map.2)
    ), 'Tuple(question_tokens Int64, prompt_tokens Int64, completion_tokens Int64, total_tokens Int64)') AS usage_reported,
    arrayExcept(referred_parents, all_spans) AS missing_parents,
    arrayExcept(
        arrayDistinct(arrayMap(pair -> pair.2, arrayFilter(pair -> NOT has(all_ended_logs, pair.1), all_announced))),
        all_node_ids
    ) AS missing_nodes,
    arrayExcept(all_traces, all_rooted_traces) AS unrooted_traces,
    toUInt64(length(missing_parents) + length(missing_nodes) + length(unrooted_traces)) AS missing_count,
    arrayExists(
        service -> service != '' AND (
            length(arrayDistinct(arrayFilter(value -> value != '', arrayMap(i -> i.2, arrayFilter(i -> i.1 = service, all_identities))))) > 1
            OR length(arrayDistinct(arrayFilter(value -> value != '', arrayMap(i -> i.3, arrayFilter(i -> i.1 = service, all_identities))))) > 1
            OR length(arrayDistinct(arrayFilter(value -> value != '', arrayMap(i -> i.4, arrayFilter(i -> i.1 = service, all_identities))))) > 1
        ),
        arrayDistinct(arrayMap(i -> i.1, all_identities))
    ) AS sid_collision,
    fragments,
    first_received_at,
    last_received_at
FROM
(
    SELECT
        sid,
        arraySort(groupUniqArrayIf(fragment.app_id, fragment.app_id != '')) AS app_ids,
        app_ids[1] AS app_id,
        argMax(
            reason,
            transform(reason, ['complete', 'late', 'idle', 'max_age', 'span_limit', 'bytes_limit', 'memory_pressure'], [1, 2, 3, 4, 5, 6, 7], 0)
        ) AS worst_reason,
        -- The earliest root; the name and the service only choose among roots of one time.
        minIf(
            (fragment.root_start_time, fragment.root_name, toString(fragment.root_service)),
            toUnixTimestamp64Nano(fragment.root_start_time) != 0 AND empty(remote_roots)
        ) AS true_root,
        groupUniqArrayArray(remote_roots) AS all_remote_roots,
        arraySort(groupUniqArrayArray(fragment.services)) AS services,
        groupUniqArrayArray(arrayMap(i -> (i.service, toString(fragment.app_id), i.uid, i.chat_id), identities)) AS all_identities,
        arraySort(arrayDistinct(arrayFilter(value -> value != '', arrayMap(i -> i.3, all_identities))))[1] AS uid,
        arraySort(arrayDistinct(arrayFilter(value -> value != '', arrayMap(i -> i.4, all_identities))))[1] AS chat_id,
        arraySort(groupUniqArrayArray(fragment.trace_ids)) AS trace_ids,
        minIf(fragment.start_time, toUnixTimestamp64Nano(fragment.start_time) != 0) AS start_time,
        max(fragment.end_time) AS end_time,
        uniqExactArray(span_keys) AS span_count,
        uniqExactArray(error_keys) AS error_count,
        maxMap(node_keys, node_facts) AS node_map,
        maxMap(log_keys, log_facts) AS log_map,
        groupUniqArrayArray(span_keys) AS all_spans,
        groupUniqArrayArray(fragment.missing_parents) AS referred_parents,
        groupUniqArrayArray(trace_keys) AS all_traces,
        groupUniqArrayArray(rooted_trace_keys) AS all_rooted_traces,
        groupUniqArrayArray(node_id_keys) AS all_node_ids,
        groupUniqArrayArray(announced) AS all_announced,
        groupUniqArrayArray(ended_logs) AS all_ended_logs,
        uniqExact(fragment.app_id, fragment_id) AS fragments,
        min(fragment.first_received_at) AS first_received_at,
        max(fragment.received_at) AS last_received_at
    FROM ${database}.trace_fragments AS fragment
    WHERE fragment.app_id = {app:String}
        -- A day beyond the ends of the type (1677 and 2262) would wrap to its other end.
        AND fragment.first_received_at >= greatest({from:DateTime64(9, 'UTC')}, toDateTime64('1900-01-02', 9, 'UTC')) - toIntervalDay(1)
        AND fragment.first_received_at < least({to:DateTime64(9, 'UTC')}, toDateTime64('2262-04-10', 9, 'UTC')) + toIntervalDay(1)
        AND sid IN (
            SELECT sid
            FROM ${database}.trace_fragments
            WHERE app_id = {app:String}
                AND first_received_at >= {from:DateTime64(9, 'UTC')}
                AND first_received_at < {to:DateTime64(9, 'UTC')}
        )
    GROUP BY sid
);
