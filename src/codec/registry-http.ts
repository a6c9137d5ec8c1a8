import { request as requestHttp } from 'node:http'
import { Agent, request as requestHttps } from 'node:https'
import { SiderealError } from '../model/errors.ts'
import type { TlsKeys } from '../model/tls-fault.ts'
import { readPemFile } from './pem-file.ts'

const CONTENT_TYPE = 'application/vnd.schemaregistry.v1+json'
const MAX_RESPONSE_BYTES = 4 * 1024 * 1024

/** For messages about TLS to the registry. */
export const REGISTRY_TLS_KEYS: TlsKeys = {
  ca: 'SIDEREAL_REGISTRY_TLS_CA',
  plain: 'write http:// in SIDEREAL_REGISTRY_URL',
}

/** Where a schema registry is, and how to prove oneself there. */
export interface RegistryAddress {
  /** Base URL, for example `https://registry:8081`. */
  readonly url: string
  /** Basic authentication. Default: user and password of the URL, if it has any. */
  readonly auth?: { readonly username: string; readonly password: string }
  /** PEM file of the authority that signed the registry's certificate. Default: those that come with Node.js. */
  readonly caPath?: string | undefined
  /** Whether a request that has no answer yet keeps the process alive. Default true. */
  readonly keepsAlive?: boolean
}

export interface RegistryAnswer {
  readonly status: number
  readonly text: string
  /** Where a redirect points to; it is not followed, since it would turn a POST into a GET and might take the password elsewhere. */
  readonly location: string | undefined
}

/** HTTP to a schema registry. By `node:http`, since the built-in `fetch` takes no authority of one's own. */
export class RegistryHttp {
  /** Base URL without credentials and final slash: fit for messages. */
  readonly url: string
  readonly #authorization: string | undefined
  readonly #agent: Agent | undefined
  readonly #keepsAlive: boolean

  /** @throws SiderealError SIDEREAL_CONFIG_INVALID for a URL that is none of http or https, or when the authority's file cannot be read */
  constructor({ url: text, auth, caPath, keepsAlive = true }: RegistryAddress) {
    const { url, own } = parseUrl(text)
    this.#keepsAlive = keepsAlive
    const used = auth ?? (url.username === '' ? undefined : own)
    if (used !== undefined) {
      this.#authorization = `Basic ${Buffer.from(`${used.username}:${used.password}`).toString('base64')}`
    }
    url.username = ''
    url.password = ''
    this.url = url.href.replace(/\/+$/, '')
    if (caPath !== undefined && url.protocol === 'https:') {
      this.#agent = new Agent({ keepAlive: true, ca: readPemFile(caPath, REGISTRY_TLS_KEYS.ca) })
    }
  }

  /** Rejects when there is no whole answer within the time, or one that is too long. Any status is an answer. */
  async request(
    method: string,
    path: string,
    options: { readonly timeoutMs: number; readonly body?: object | undefined },
  ): Promise<RegistryAnswer> {
    const { body } = options
    const target = new URL(this.url + path)
    const settings = {
      method,
      headers: {
        accept: CONTENT_TYPE,
        'content-type': CONTENT_TYPE,
        ...(this.#authorization === undefined ? {} : { authorization: this.#authorization }),
      },
      signal: AbortSignal.timeout(options.timeoutMs),
      ...(this.#agent === undefined ? {} : { agent: this.#agent }),
    }
    const request =
      target.protocol === 'https:' ? requestHttps(target, settings) : requestHttp(target, settings)
    const answer = Promise.withResolvers<RegistryAnswer>()
    if (!this.#keepsAlive) request.once('socket', (socket) => socket.unref())
    request.once('error', answer.reject)
    request.once('response', (response) => {
      readBounded(response).then(
        (text) =>
          answer.resolve({ status: response.statusCode ?? 0, text, location: response.headers.location }),
        answer.reject,
      )
    })
    request.end(body === undefined ? undefined : JSON.stringify(body))
    return await answer.promise
  }
}

/** The URL, which may have a password in it, is not repeated; nor is the cause told, which repeats it. */
function parseUrl(text: string) {
  try {
    const url = new URL(text)
    if (url.protocol !== 'http:' && url.protocol !== 'https:')
      throw new Error(`it begins with ${url.protocol}`)
    const own = { username: decodeURIComponent(url.username), password: decodeURIComponent(url.password) }
    return { url, own }
  } catch {
    throw new SiderealError(
      'SIDEREAL_CONFIG_INVALID',
      'the URL of the schema registry is none of http or https: set SIDEREAL_REGISTRY_URL to http://host:8081',
    )
  }
}

async function readBounded(response: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response) {
    length += chunk.length
    if (length > MAX_RESPONSE_BYTES) throw new Error(`the answer is longer than ${MAX_RESPONSE_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
