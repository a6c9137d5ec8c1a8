import type { SeededRandom } from './seeded-random.ts'

const SENTENCES = {
  zh: [
    '请根据知识库的内容回答用户的问题，并给出引用来源。',
    '工作流先检索文档，再调用插件，最后由大模型汇总答案。',
    '如果信息不足，请明确说明不确定的部分，不要编造。😀',
    '订单已经发货，预计三天内送达，请注意查收短信通知。',
  ],
  en: [
    'Answer the question with the documents that were found, and name their sources. ',
    'The workflow searches the documents, calls the plugin, and lets the model write the summary. ',
    'If something is not known, say so plainly instead of guessing: "I do not know" is an answer.\n',
    'The order has left the warehouse and will arrive within three days — naïve café \\ test\t',
  ],
} as const

const QUESTIONS = [
  '明天上海的天气怎么样？',
  '帮我总结这份合同的风险。',
  'When does my order arrive?',
  'What is the travel budget for this year?',
  '',
]

export function shortQuestion(random: SeededRandom): string {
  return random.pick(QUESTIONS)
}

export function shortText(random: SeededRandom): string {
  return random.pick(SENTENCES[random.chance(0.5) ? 'zh' : 'en']).trim()
}

/** Size of a value that is worth moving to object storage: most over 6 KB, some exactly at the limit of 5 KB and just over it. */
export function payloadSize(random: SeededRandom): number {
  const limit = 5 * 1024
  if (random.chance(0.1)) return random.pick([limit - 1, limit, limit + 1])
  return Math.round(6 * 1024 * 33 ** random.next())
}

/** A text of exactly that many bytes of UTF-8, Chinese or English, unlike any other. */
export function textOfSize(random: SeededRandom, bytes: number): string {
  const sentences = SENTENCES[random.chance(0.5) ? 'zh' : 'en']
  const parts = [`#${random.hex(8)} `]
  let size = Buffer.byteLength(parts[0]!)
  while (size < bytes) {
    const sentence = random.pick(sentences)
    parts.push(sentence)
    size += Buffer.byteLength(sentence)
  }
  return cutToBytes(parts.join(''), bytes)
}

function cutToBytes(text: string, bytes: number): string {
  let size = 0
  let cut = ''
  for (const character of text) {
    size += Buffer.byteLength(character)
    if (size > bytes) break
    cut += character
  }
  return cut + '.'.repeat(bytes - Buffer.byteLength(cut))
}
