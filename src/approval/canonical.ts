import { SallyportError, type ByteWriter } from '../core/index.js'

/** Nesting beyond this is refused: nothing that is approved by a person is this deep. */
const MAX_DEPTH = 32

const LONE_SURROGATE = /\p{Cs}/u

/**
 * Appends `value` so that two different values never give the same bytes: each part has a one-byte tag
 * and, where its length varies, a length in front. Keys of objects are sorted, keys with the value
 * `undefined` count as absent (as `exactOptionalPropertyTypes` has it everywhere else).
 *
 * @throws SallyportError `misuse` for what has no canonical form: functions, symbols, class instances, cycles
 */
export function encodeCanonical(writer: ByteWriter, value: unknown, depth = 0): void {
  if (depth > MAX_DEPTH) throw new SallyportError('misuse', `expected a value at most ${MAX_DEPTH} levels deep`)
  switch (typeof value) {
    case 'undefined':
      writer.u8(0x75) // u
      return
    case 'boolean':
      writer.u8(value ? 0x54 : 0x46) // T F
      return
    case 'number': {
      const bytes = Buffer.allocUnsafe(8)
      bytes.writeDoubleBE(value)
      writer.u8(0x64).append(bytes) // d
      return
    }
    case 'bigint':
      writer.u8(0x69) // i
      encodeText(writer, value.toString())
      return
    case 'string':
      encodeText(writer, value)
      return
    case 'object':
      encodeObject(writer, value, depth)
      return
    default:
      throw new SallyportError('misuse', `a ${typeof value} cannot be part of what is approved`)
  }
}

function encodeText(writer: ByteWriter, text: string): void {
  // UTF-8 turns every lone surrogate into the same three bytes, so text that has one goes as UTF-16.
  if (LONE_SURROGATE.test(text))
    encodeBlock(writer, 0x77, Buffer.from(text, 'utf16le')) // w
  else encodeBlock(writer, 0x73, Buffer.from(text, 'utf8')) // s
}

function encodeBlock(writer: ByteWriter, tag: number, bytes: Uint8Array): void {
  writer.u8(tag).u32(bytes.length).append(bytes)
}

function encodeObject(writer: ByteWriter, value: object | null, depth: number): void {
  if (value === null) {
    writer.u8(0x6e) // n
    return
  }
  if (value instanceof Uint8Array) {
    encodeBlock(writer, 0x62, value) // b
    return
  }
  if (Array.isArray(value)) {
    writer.u8(0x61).u32(value.length) // a
    for (let i = 0; i < value.length; i++) encodeCanonical(writer, value[i], depth + 1)
    return
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) {
    // Fails closed: a class instance may keep what matters in private fields or getters of its prototype.
    throw new SallyportError('misuse', 'a class instance cannot be part of what is approved')
  }
  const entries = Object.entries(value).filter(([, part]) => part !== undefined)
  entries.sort(([left], [right]) => (left < right ? -1 : left > right ? 1 : 0))
  writer.u8(0x6f).u32(entries.length) // o
  for (const [key, part] of entries) {
    encodeText(writer, key)
    encodeCanonical(writer, part, depth + 1)
  }
}
