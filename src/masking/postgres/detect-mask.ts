import { type ByteWriter, CELL_NULL, CELL_UNCHANGED, type CellMask } from '../../core/index.js'
import { DetectingMask } from '../detecting-mask.js'
import { isCardNumber, Scanner } from '../detectors/index.js'
import { JsonMask } from '../json-mask.js'
import type { KeyedHash } from '../keyed-hash.js'
import type { Replacer } from '../replacer.js'
import { settled } from '../settled-mask.js'
import { ArrayMask } from './array-mask.js'
import { asciiText } from './codec.js'
import { columnMask } from './column-mask.js'
import { elementTypeOf, type PostgresType, typeOf } from './types.js'

/** NULL for a value in which anything is found: for forms that are not rebuilt. */
class OpaqueMask implements CellMask {
  readonly #scanner: Scanner

  constructor(replacer: Replacer) {
    this.#scanner = new Scanner(replacer.table)
  }

  apply(source: Uint8Array, start: number, end: number): number {
    this.#scanner.start(start)
    return this.#scanner.next(source, start, end, true) < 0 ? CELL_UNCHANGED : CELL_NULL
  }
}

/** Smallest and largest number with 13 and 19 digits. */
const MIN_CARD = 1e12
const MAX_CARD = 1e19

/** Card numbers kept in number columns. */
class CardNumberMask implements CellMask {
  readonly #replacement: CellMask
  readonly #read: (source: Uint8Array, start: number, end: number) => string | undefined
  readonly #digits = new Uint8Array(20)

  constructor(replacement: CellMask, read: (source: Uint8Array, start: number, end: number) => string | undefined) {
    this.#replacement = replacement
    this.#read = read
  }

  apply(source: Uint8Array, start: number, end: number, target: ByteWriter): number {
    const text = this.#read(source, start, end)
    if (text === undefined || text.length < 13 || text.length > 19) return CELL_UNCHANGED
    for (let i = 0; i < text.length; i++) {
      const digit = text.charCodeAt(i) - 0x30
      if (digit < 0 || digit > 9) return CELL_UNCHANGED
      this.#digits[i] = digit
    }
    return isCardNumber(this.#digits, text.length)
      ? this.#replacement.apply(source, start, end, target)
      : CELL_UNCHANGED
  }
}

function readIntegerText(source: Uint8Array, start: number, end: number): string | undefined {
  if (end - start < 13) return undefined
  const from = source[start] === 0x2d ? start + 1 : start
  let to = from
  while (to < end && source[to] !== 0x2e) to++
  for (let i = to + 1; i < end; i++) if (source[i] !== 0x30) return undefined
  return asciiText(source, from, to)
}

function readInt64(source: Uint8Array, start: number, end: number): string | undefined {
  if (end - start !== 8) return undefined
  const view = new DataView(source.buffer, source.byteOffset + start, 8)
  const high = view.getInt32(0)
  // 13 digits begin at 232 * 2^32: nearly every number is settled here.
  if (high < 232 && high >= -233) return undefined
  const value = view.getBigInt64(0)
  return String(value < 0n ? -value : value)
}

function readFloat64(source: Uint8Array, start: number, end: number): string | undefined {
  if (end - start !== 8) return undefined
  const value = Math.abs(new DataView(source.buffer, source.byteOffset + start, 8).getFloat64(0))
  return wholeNumber(value)
}

function readFloatText(source: Uint8Array, start: number, end: number): string | undefined {
  return end - start < 13 ? undefined : wholeNumber(Math.abs(Number(asciiText(source, start, end))))
}

function wholeNumber(value: number): string | undefined {
  return value >= MIN_CARD && value < MAX_CARD && Number.isInteger(value) ? BigInt(value).toString() : undefined
}

/** numeric_send: int16 groups, int16 weight, uint16 sign, int16 scale, then base-10000 groups. */
function readNumeric(source: Uint8Array, start: number, end: number): string | undefined {
  if (end - start < 8) return undefined
  const view = new DataView(source.buffer, source.byteOffset + start, end - start)
  const groups = view.getInt16(0)
  const weight = view.getInt16(2)
  // 13 to 19 digits are four or five groups, without any behind the point.
  if (weight < 3 || weight > 4 || groups > weight + 1 || groups < 1 || view.byteLength < 8 + groups * 2)
    return undefined
  let text = String(view.getUint16(8))
  for (let i = 1; i <= weight; i++) text += (i < groups ? String(view.getUint16(8 + i * 2)) : '0').padStart(4, '0')
  return text
}

const NUMBER_READERS = {
  int8: { text: readIntegerText, binary: readInt64 },
  float8: { text: readFloatText, binary: readFloat64 },
  numeric: { text: readIntegerText, binary: readNumeric },
} as const

const SSN_LABEL = /ssn|social_?sec|tax_?(payer_?)?id|itin/i

/** What a detecting mask is made from. */
export interface DetectionOptions {
  readonly replacer: Replacer
  readonly hash: KeyedHash
  /** Names the column goes by: context for values that need it. */
  readonly labels: readonly string[]
}

/** The mask that looks for values in a column of this type; undefined where they cannot stand. */
export function detectMask(oid: number, format: 'text' | 'binary', options: DetectionOptions): CellMask | undefined {
  const element = elementTypeOf(oid)
  if (element !== undefined && element.detection !== 'opaque') {
    const mask = valueMask(element, format, options)
    return mask === undefined ? undefined : new ArrayMask(element.oid, mask, format)
  }
  const type = element ?? typeOf(oid)
  if (type !== undefined) return valueMask(type, format, options)
  // Enums, composites, ranges, extension types, pseudo-types (pg_stats shows values as `anyarray`): text is text; what
  // binary means nobody says here.
  return format === 'text' ? textMask('markup', options) : new OpaqueMask(options.replacer)
}

function valueMask(type: PostgresType, format: 'text' | 'binary', options: DetectionOptions): CellMask | undefined {
  const { replacer, hash } = options
  switch (type.detection) {
    case 'text':
      return textMask('plain', options)
    case 'xml':
      return textMask('markup', options)
    case 'json':
      return settled(new JsonMask(replacer, { prefixBytes: 0 }), replacer)
    case 'jsonb':
      return settled(new JsonMask(replacer, { prefixBytes: format === 'binary' ? 1 : 0 }), replacer)
    case 'opaque':
      return type.name === 'record' && format === 'text' ? textMask('markup', options) : new OpaqueMask(replacer)
    case 'int8':
    case 'float8':
    case 'numeric': {
      const card = replacer.table.names.indexOf('card')
      if (!replacer.table.isEnabled[card]) return undefined
      return new CardNumberMask(
        columnMask(type.oid, format, replacer.strategy(card), hash),
        NUMBER_READERS[type.detection][format],
      )
    }
    case 'none':
      return undefined
    default: {
      const unreachable: never = type.detection
      return unreachable
    }
  }
}

function textMask(surroundings: 'plain' | 'markup', options: DetectionOptions): CellMask {
  const hasContextOfSsn = options.labels.some((label) => SSN_LABEL.test(label))
  return settled(new DetectingMask(options.replacer, { surroundings, hasContextOfSsn }), options.replacer)
}
