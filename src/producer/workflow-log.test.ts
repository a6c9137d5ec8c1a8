import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NodeLog } from './node-log.ts'
import { WorkflowLog } from './workflow-log.ts'

const node = (nodeId: string, startMs: number) =>
  new NodeLog({ nodeId, nodeType: 'x', nodeName: 'x' }, () => startMs)

test('the first node that streams to the user says when its first frame came, whenever it is added', () => {
  const log = new WorkflowLog({}, () => 1_000)
  log.addNodeLog([node('spark-llm:1', 1_010), node('messages:2', 1_020)])
  assert.equal(log.firstFrameDuration, -1)
  log.addNodeLog([node('plugin:1', 1_030), node('message:7', 1_040), node('node-end:1', 1_050)])
  assert.equal(log.firstFrameDuration, 40)
  log.addFuncLog(node('node-end:2', 1_005))
  assert.equal(log.firstFrameDuration, 40)
  assert.equal(log.trace.length, 6)
})

test('a first frame that is known already stays', () => {
  const log = new WorkflowLog({}, () => 1_000)
  log.addFirstFrameDuration(7)
  log.addNodeLog(node('node-end:1', 1_050))
  assert.equal(log.firstFrameDuration, 7)
})
