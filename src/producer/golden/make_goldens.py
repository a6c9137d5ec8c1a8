"""
Writes what the Python original's `to_json` gives for each log of cases.jsonl, one JSON string a line: the source of truth of node-trace-log-text.test.ts.

    python3 make_goldens.py cases.jsonl > goldens.jsonl

A small re-implementation of the rules that were measured on the original (field order, defaults, the size at which a text is stored, the fallback
for sets and objects), so that text and numbers are those of Python's own json module. In cases.jsonl a value that JSON does not have is an object
with one key: {"$bytes": n} a text of n bytes, {"$wide": n} one of n bytes, three a character, {"$float": text}, {"$int": text}, {"$set": [...]},
{"$map": [[key, value], ...]}, {"$blob": text} bytes.

For each case there are two texts: "python" as the original writes it, and "ours", which differs in three rules only: a number that JSON does not have is null;
a text is stored from 5,121 bytes of UTF-8 on (the original counts 33 bytes of Python object, so it stores from 5,088 on); a Date-like object is not in the cases.
"""

import json
import math
import sys

LOG_FIELDS = {
    "service_id": "", "flow_id": "", "sid": "", "app_id": "", "uid": "", "bot_id": "", "chat_id": "", "sub": "", "caller": "",
    "log_caller": "", "question": "", "answer": "", "start_time": 0, "end_time": 0, "duration": 0, "first_frame_duration": -1.0,
    "srv": {}, "srv_tag": {}, "status": {"code": 0, "message": ""}, "usage": None, "version": "v2.0.0", "trace": [],
}
NODE_FIELDS = {
    "id": "", "sid": "", "node_id": "", "node_type": "", "node_name": "", "func_id": "", "func_type": "", "func_name": "",
    "next_log_ids": set(), "start_time": 0, "end_time": 0, "duration": (0,), "first_frame_duration": -1, "node_first_cost_time": -1,
    "llm_output": "", "running_status": True, "data": None, "logs": [],
}
USAGE_FIELDS = ["question_tokens", "prompt_tokens", "completion_tokens", "total_tokens"]


def decode(value):
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        [(key, inner)] = value.items()
        if key == "$bytes":
            return "x" * inner
        if key == "$wide":
            return "你" * (inner // 3) + "x" * (inner % 3)
        if key == "$float":
            return float(inner)
        if key == "$int":
            return int(inner)
        if key == "$set":
            return set(decode(inner))
        if key == "$map":
            return {name: decode(item) for name, item in inner}
        if key == "$blob":
            return inner.encode("utf-8")
    return {key: decode(item) for key, item in value.items()}


def usage(given):
    return {name: given.get(name, 0) for name in USAGE_FIELDS}


def model(case):
    """What `model_dump` gives, in the order of the model's fields."""
    log = {**LOG_FIELDS, **case["log"]}
    of_workflow = bool(log["flow_id"] or log["bot_id"])
    if not of_workflow:
        del log["flow_id"], log["bot_id"]
    log["usage"] = usage(log["usage"] or {})
    log["trace"] = [node_model(node, log["sid"], of_workflow) for node in case["nodes"]]
    return log


def node_model(given, sid, of_workflow):
    node = {**NODE_FIELDS, **given}
    node["sid"] = node["sid"] or sid
    for name in ("id", "type", "name"):
        node["func_" + name] = node["func_" + name] or node["node_" + name]
    if of_workflow and "duration" not in given:
        node["duration"] = 0
    data = node["data"] or {}
    node["data"] = {name: data.get(name, {}) for name in ("input", "output", "config")}
    node["data"]["usage"] = usage(data.get("usage", {}))
    return node


def to_json(dump, limit, has_store, is_ours):
    def process(value):
        if isinstance(value, dict):
            return {key: process(item) for key, item in value.items()}
        if isinstance(value, list):
            return [process(item) for item in value]
        if isinstance(value, str) and has_store and len(value.encode("utf-8")) > limit:
            return "https://store.example/%d.txt" % len(value.encode("utf-8"))
        return without_nan(value) if is_ours else value

    # In an order that can be compared: the original's changes from run to run.
    def fallback(value):
        return sorted(value) if isinstance(value, set) else None

    return json.dumps(process(dump), ensure_ascii=False, default=fallback)


def without_nan(value):
    return None if isinstance(value, float) and not math.isfinite(value) else value


for line in open(sys.argv[1], encoding="utf-8"):
    case = decode(json.loads(line))
    dump = model(case)
    has_store = case.get("store", False)
    python = to_json(dump, 5087, has_store, False)
    ours = to_json(dump, 5120, has_store, True)
    golden = {"name": case["name"], "python": python}
    if ours != python:
        golden["ours"] = ours
    sys.stdout.write(json.dumps(golden, ensure_ascii=False) + "\n")
