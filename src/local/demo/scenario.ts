import { textOfSize } from '../../audit/generated-text.ts'
import { SeededRandom } from '../../audit/seeded-random.ts'

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

/** The plan of request `index`: about one in twelve fails, about one in six carries values of 20 KB to 1 MB. */
export function planRequest(index: number): DemoRequest {
  const random = new SeededRandom(0x51de, index)
  const language = random.chance(0.5) ? 'zh' : 'en'
  const usesPlugin = random.chance(0.6)
  const failure = random.chance(0.09) ? (usesPlugin && random.chance(0.6) ? 'plugin' : 'model') : 'none'
  const isLarge = random.chance(0.17)
  const largeBytes = () => Math.round(20_480 * 51.2 ** random.next())
  const usesKnowledge = random.chance(0.6)
  const usesMessage = random.chance(0.5) || !(usesKnowledge || usesPlugin)
  return {
    index,
    appId: APPS[index % APPS.length]!,
    uid: `user-${Math.floor(random.next() * 40)}`,
    chatId: `chat-${index.toString().padStart(4, '0')}`,
    language,
    question: QUESTIONS[language][Math.floor(random.next() * QUESTIONS[language].length)]!,
    usesKnowledge,
    usesPlugin,
    usesMessage,
    usesSecondModel: random.chance(0.4),
    failure,
    answerBytes: isLarge ? largeBytes() : 120 + Math.floor(random.next() * 800),
    documentBytes: isLarge && usesKnowledge ? largeBytes() : 400 + Math.floor(random.next() * 2_000),
    firstFrameMs: 5 + Math.floor(random.next() * 20),
    modelMs: 10 + Math.floor(random.next() * 30),
  }
}

/** What the first or second model of a request answers. */
export function demoAnswer(request: DemoRequest, model: 1 | 2): string {
  return textOfSize(new SeededRandom(0xa115, request.index, model), request.answerBytes)
}

/** The answer of the whole request; `undefined` when its model fails. */
export function finalAnswer(request: DemoRequest): string | undefined {
  if (request.failure === 'model') return undefined
  return demoAnswer(request, request.usesSecondModel ? 2 : 1)
}

/** What the knowledge node of a request finds. */
export function demoDocuments(request: DemoRequest): string {
  return textOfSize(new SeededRandom(0xd0c5, request.index), request.documentBytes)
}

/** Counts tokens roughly as models do: one a word, or one and a half characters of Chinese. */
export function countTokens(text: string): number {
  const han = text.match(/\p{Script=Han}/gu)?.length ?? 0
  const words = text.match(/[A-Za-z0-9]+/g)?.length ?? 0
  return words + Math.ceil(han / 1.5)
}
