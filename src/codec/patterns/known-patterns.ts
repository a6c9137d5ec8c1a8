import type { ValuePattern } from './value-patterns.ts'

/**
 * Personal data and credentials as they are usually written. Each is linear: a look-behind lets a match begin at one place of a token only.
 * They look at the form alone: check digits are not counted, so a number that only looks like a card is found as well.
 */
export const KNOWN_PATTERNS: readonly ValuePattern[] = [
  {
    name: 'email',
    regExp: /(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]+@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,24}/,
  },
  /** Mobile number of mainland China, with or without the country code. */
  { name: 'cn_mobile', regExp: /(?<!\d)(?:\+?86[ -]?)?1[3-9]\d{9}(?!\d)/ },
  /** Resident identity card number of China (GB 11643): region, date of birth, order, check character. */
  {
    name: 'cn_id_card',
    regExp: /(?<!\d)[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx](?![\dXx])/,
  },
  /** Payment card of 13 to 19 digits, together or in groups of four. */
  { name: 'bank_card', regExp: /(?<!\d)[2-6]\d{3}(?:\d{9,15}|(?:[ -]\d{4}){2,3}[ -]\d{1,4})(?!\d)/ },
  {
    name: 'ipv4',
    regExp:
      /(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]\d|\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]\d|\d)(?![\d.])/,
  },
  /** Credential of an HTTP header (RFC 6750), whatever the case of its scheme. */
  { name: 'bearer_token', regExp: /(?<![a-z0-9])bearer +[a-z0-9._~+/-]{16,}={0,2}/i },
  /** API key of the kind `sk-…`, as providers of language models and of payments give them. */
  { name: 'api_key', regExp: /(?<![A-Za-z0-9])[sr]k[-_][A-Za-z0-9_-]{20,}/ },
]
