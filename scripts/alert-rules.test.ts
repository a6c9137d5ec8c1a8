import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parse } from 'yaml'
import { WorkerCounters } from '../src/telemetry/counters.ts'
import type { WorkerFigures } from '../src/telemetry/figures.ts'
import { WorkerMetrics } from '../src/telemetry/metrics.ts'

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly labels: { readonly severity: string }
  readonly annotations: { readonly summary: string; readonly runbook_url: string }
}

const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')
const file: { groups: { rules: Rule[] }[] } = parse(read('deploy/prometheus/alerts.yml'))
const rules = file.groups.flatMap((group) => group.rules)
const { registry } = new WorkerMetrics({
  counters: new WorkerCounters(),
  // Names alone are asked for, not values.
  figures: () => ({}) as WorkerFigures,
  sinks: ['clickhouse'],
  processMetrics: false,
})
const known = new Set(registry.getMetricsAsArray().map(({ name }) => name))

/** GitHub's name of a heading's anchor. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')
}

test('every metric of an alert rule is one that the worker has', () => {
  assert.ok(rules.length >= 10)
  for (const { alert, expr } of rules) {
    const names = expr.match(/\bsidereal_\w+/g) ?? []
    assert.ok(names.length > 0, alert)
    for (const name of names) assert.ok(known.has(name), `${alert}: ${name} is no metric`)
  }
})

test('every alert rule says what is wrong, how bad it is, and names a section of the runbook that exists', () => {
  for (const { alert, labels, annotations } of rules) {
    assert.match(labels.severity, /^(critical|warning|info)$/, alert)
    assert.ok(annotations.summary.length > 20, alert)
    const [path = '', anchor = ''] = annotations.runbook_url.split('#')
    const anchors = [...read(path).matchAll(/^#+ (.+)$/gm)].map((match) => anchorOf(match[1] ?? ''))
    assert.ok(anchors.includes(anchor), `${alert}: ${path} has no section #${anchor}`)
  }
})

test('every metric that docs/operations.md names is one that the worker has', () => {
  for (const name of read('docs/operations.md').match(/\bsidereal_\w+/g) ?? [])
    assert.ok(known.has(name), `${name} is no metric`)
})
