/** What one demo request does: a function of its number, so that a second run does the same work. */
export interface DemoRequest {
  index: number
  appId: string
  uid: string
  chatId: string
  language: 'zh' | 'en'
  question: string
  /** Nodes between start and end that this run visits. */
  usesKnowledge: boolean
  usesPlugin: boolean
  usesMessage: boolean
  usesSecondModel: boolean
  /** Which node fails, if any. */
  failure: 'none' | 'plugin' | 'model'
  /** Bytes of UTF-8 of the model's answer, at least. */
  answerBytes: number
  /** Bytes of UTF-8 of the documents that the knowledge node returns, at least. */
  documentBytes: number
  firstFrameMs: number
  modelMs: number
}

const APPS = ['app-travel', 'app-support', 'app-finance']

const SENTENCES = {
  zh: [
    '请根据知识库的内容回答用户的问题。',
    '上海明天多云转晴，气温十八到二十四度，适合出行。',
    '工作流先检索文档，再调用插件，最后由大模型汇总答案。',
    '如果信息不足，请明确说明不确定的部分，不要编造。',
    '订单已经发货，预计三天内送达，请注意查收。',
  ],
  en: [
    'Answer the question with the documents that were found.',
    'Tomorrow will be cloudy at first and sunny later, with a light wind from the south.',
    'The workflow searches the documents, calls the plugin, and lets the model write the summary.',
    'If something is not known, say so plainly instead of guessing.',
    'The order has left the warehouse and will arrive within three days.',
  ],
} as const

const QUESTIONS = {
  zh: [
    '明天上海的天气怎么样？',
    '我的订单什么时候到？',
    '帮我总结这份合同的风险。',
    '公司今年的差旅标准是多少？',
  ],
  en: [
    'What will the weather be tomorrow?',
    'When does my order arrive?',
    'Summarise the risks of this contract.',
    'What is the travel budget?',
  ],
} as const

/** Small seeded generator (mulberry32). */
export function demoRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

/** The plan of request `index`: about one in twelve fails, about one in six carries values of 20 KB to 1 MB. */
export function planRequest(index: number): DemoRequest {
  const random = demoRandom(0x51de + index)
  const language = random() < 0.5 ? 'zh' : 'en'
  const usesPlugin = random() < 0.6
  const failure = random() < 0.09 ? (usesPlugin && random() < 0.6 ? 'plugin' : 'model') : 'none'
  const isLarge = random() < 0.17
  const largeBytes = () => Math.round(20_480 * 51.2 ** random())
  const usesKnowledge = random() < 0.6
  return {
    index,
    appId: APPS[index % APPS.length]!,
    uid: `user-${Math.floor(random() * 40)}`,
    chatId: `chat-${index.toString().padStart(4, '0')}`,
    language,
    question: QUESTIONS[language][Math.floor(random() * QUESTIONS[language].length)]!,
    usesKnowledge,
    usesPlugin,
    usesMessage: random() < 0.5,
    usesSecondModel: random() < 0.4,
    failure,
    answerBytes: isLarge ? largeBytes() : 120 + Math.floor(random() * 800),
    documentBytes: isLarge && usesKnowledge ? largeBytes() : 400 + Math.floor(random() * 2_000),
    firstFrameMs: 5 + Math.floor(random() * 20),
    modelMs: 10 + Math.floor(random() * 30),
  }
}

/** Running text of at least `minBytes` bytes of UTF-8, different for each seed. */
export function demoText(language: 'zh' | 'en', minBytes: number, seed: number): string {
  const random = demoRandom(seed)
  const sentences = SENTENCES[language]
  const parts: string[] = []
  for (let bytes = 0, number = 1; bytes < minBytes; number++) {
    const part = `${number}. ${sentences[Math.floor(random() * sentences.length)]!} `
    parts.push(part)
    bytes += Buffer.byteLength(part)
  }
  return parts.join('')
}

/** Counts tokens roughly as models do: one a word, or one and a half characters of Chinese. */
export function countTokens(text: string): number {
  const han = text.match(/\p{Script=Han}/gu)?.length ?? 0
  const words = text.match(/[A-Za-z0-9]+/g)?.length ?? 0
  return words + Math.ceil(han / 1.5)
}
