import type { SeededRandom } from '../src/audit/seeded-random.ts'
import type { AnyValue, KeyValue } from '../src/model/any-value.ts'
import { resourceAttributes, type SpanShape } from './data.ts'

const KEYS = 200
const ATTRIBUTES = 12
const PODS = 300

const PHRASES = [
  '请根据知识库的内容回答用户的问题',
  '工作流先检索文档再调用插件',
  '最后由大模型汇总答案并给出引用来源',
  '如果信息不足请明确说明不确定的部分',
  '订单已经发货预计三天内送达',
  '模型在第二次调用时返回了超时错误',
]

/**
 * Spans on which nothing that is guessed comes true: 12 attributes out of 200 keys in random order, 300 pods, Chinese texts, doubles with all
 * their digits. What type a key has is fixed, as it is in services.
 */
export const HARD_SHAPE: SpanShape = {
  resourceOf: (service, index) => resourceAttributes(service, index % PODS),
  attributesOf: (random) => {
    const keys = new Set<number>()
    while (keys.size < ATTRIBUTES) keys.add(random.integer(0, KEYS - 1))
    return Array.from(keys, (key): KeyValue => ({ key: `custom.field.${key}`, value: valueFor(key, random) }))
  },
  eventText: '节点按时完成，输出的三篇文档已经传给工作流的下一个节点。',
}

function valueFor(key: number, random: SeededRandom): AnyValue {
  switch (key % 4) {
    case 0:
      return `${random.pick(PHRASES)}，编号${random.integer(0, 1_000_000)}。`
    case 1:
      return random.next() * 10 ** random.integer(-3, 6) + random.next() / 3
    case 2:
      return BigInt(random.integer(0, 2_000_000_000))
    default:
      return random.chance(0.5) ? random.chance(0.5) : `value-${random.hex(4)}`
  }
}
