import { entriesOf, failureText, ownForm, ValueWalk } from './foreign-values.ts'

/** What could not be written as it was: the text says something else in its place. */
export interface JsonTextFaults {
  /** NaN and ±Infinity, which JSON does not have: `null`. */
  nonFinite: number
  /** Texts with lone surrogates, which UTF-8 does not have: U+FFFD. */
  replacedSurrogates: number
}

/** A number that is a float in Python also when it is whole: `2` is written `2.0`. */
export class PythonFloat {
  readonly value: number

  constructor(value: number) {
    this.value = value
  }
}

/** Python gives up at about a thousand levels, too. */
export const MAX_JSON_DEPTH = 500

/**
 * A value as Python's `json.dumps(value, ensure_ascii=False)` writes it: separators `", "` and `": "`, text unescaped but for quotes, backslashes
 * and control characters, numbers in Python's form. A whole number up to 2^53 is an int, any other number a float. Where Python's text would be
 * no JSON, or where it raises, this one says what it can and counts it. `undefined` fields are left out; bytes, functions, cycles, and what comes after a
 * million values are `null`. Never throws.
 */
export function pythonJson(value: unknown, faults: JsonTextFaults): string {
  return write(value, faults, new ValueWalk(MAX_JSON_DEPTH))
}

function write(value: unknown, faults: JsonTextFaults, walk: ValueWalk): string {
  if (!walk.takesOne()) return 'null'
  switch (typeof value) {
    case 'string':
      return textOf(value, faults)
    case 'boolean':
    case 'bigint':
      return String(value)
    case 'number':
      return numberOf(value, Number.isSafeInteger(value) && !Object.is(value, -0), faults)
    case 'object':
      break
    default:
      return 'null'
  }
  if (value === null || !walk.enter(value)) return 'null'
  try {
    return objectOf(value, faults, walk)
  } catch (error) {
    // A proxy, or a field that throws.
    return textOf(failureText(error), faults)
  } finally {
    walk.leave()
  }
}

function objectOf(value: object, faults: JsonTextFaults, walk: ValueWalk): string {
  if (value instanceof Uint8Array) return 'null'
  if (value instanceof PythonFloat) return numberOf(value.value, false, faults)
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'null' : `"${value.toISOString()}"`
  if (Array.isArray(value) || value instanceof Set)
    return `[${Array.from(value, (item) => write(item, faults, walk)).join(', ')}]`
  const own = ownForm(value)
  if (own !== undefined) return write(own.form, faults, walk)
  const fields = entriesOf(value).filter(([, item]) => item !== undefined)
  return `{${fields.map(([key, item]) => `${textOf(key, faults)}: ${write(item, faults, walk)}`).join(', ')}}`
}

function textOf(text: string, faults: JsonTextFaults): string {
  if (text.isWellFormed()) return JSON.stringify(text)
  faults.replacedSurrogates += 1
  return JSON.stringify(text.toWellFormed())
}

function numberOf(value: number, isInt: boolean, faults: JsonTextFaults): string {
  if (!Number.isFinite(value)) {
    faults.nonFinite += 1
    return 'null'
  }
  return isInt ? String(value) : floatText(value)
}

/** Python's `repr` of a float: the shortest digits that read back as the same number, as in JavaScript; an exponent below 1e-4 and from 1e16 on. */
function floatText(value: number): string {
  if (Object.is(value, -0)) return '-0.0'
  const [mantissa = '', power = ''] = value.toExponential().split('e')
  const exponent = Number(power)
  if (exponent < -4 || exponent >= 16) {
    const digits = String(Math.abs(exponent)).padStart(2, '0')
    return `${mantissa}e${exponent < 0 ? '-' : '+'}${digits}`
  }
  const sign = mantissa.startsWith('-') ? '-' : ''
  const digits = mantissa.replace(/[-.]/g, '')
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0')
  return `${sign}${whole}.${digits.slice(exponent + 1) || '0'}`
}
