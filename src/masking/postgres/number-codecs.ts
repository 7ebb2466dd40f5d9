import type { ByteWriter } from '../../core/index.js'
import { asciiText, only, type TypeCodec, viewOf } from './codec.js'

/** int2, int4 and oid. */
export function integerCodec(bytes: 2 | 4, isSigned: boolean): TypeCodec<number> {
  const span = bytes === 2 ? 0x8000 : isSigned ? 0x8000_0000 : 0x1_0000_0000
  return {
    redacted: 0,
    parse: (text) => {
      const value = Number(text)
      const isInRange = isSigned ? value >= -span && value < span : value >= 0 && value < span
      return only(/^[+-]?\d{1,11}$/.test(text) && isInRange, () => value)
    },
    fromDigest: (digest) => digest.readUInt32BE(0) % span,
    writeText: (value, target) => void target.utf8(String(value)),
    writeBinary: (value, target) => void (bytes === 2 ? target.i16(value) : target.u32(value >>> 0)),
    canonical: (source, start, end, isBinary) => {
      if (!isBinary) return asciiText(source, start, end)
      if (end - start !== bytes) return undefined
      const view = viewOf(source, start, end)
      return String(bytes === 2 ? view.getInt16(0) : isSigned ? view.getInt32(0) : view.getUint32(0))
    },
  }
}

export const INT8: TypeCodec<bigint> = {
  redacted: 0n,
  parse: (text) => {
    if (!/^[+-]?\d{1,19}$/.test(text)) return undefined
    const value = BigInt(text.replace(/^\+/, ''))
    return only(BigInt.asIntN(64, value) === value, () => value)
  },
  fromDigest: (digest) => digest.readBigUInt64BE(0) >> 2n,
  writeText: (value, target) => void target.utf8(String(value)),
  writeBinary: writeInt64,
  canonical: (source, start, end, isBinary) => {
    if (!isBinary) return asciiText(source, start, end)
    return end - start === 8 ? String(viewOf(source, start, end).getBigInt64(0)) : undefined
  },
}

export function writeInt64(value: bigint, target: ByteWriter): void {
  target.reserve(8)
  target.length = target.bytes.writeBigInt64BE(value, target.length)
}

export function floatCodec(bytes: 4 | 8): TypeCodec<number> {
  return {
    redacted: 0,
    parse: (text) => {
      const value = bytes === 4 ? Math.fround(Number(text)) : Number(text)
      return only(/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) && Number.isFinite(value), () => value)
    },
    // Whole numbers that both sizes hold exactly.
    fromDigest: (digest) => (bytes === 4 ? digest.readUIntBE(0, 3) : digest.readUIntBE(0, 6)),
    writeText: (value, target) => void target.utf8(String(value)),
    writeBinary: (value, target) => {
      target.reserve(bytes)
      target.length =
        bytes === 4 ? target.bytes.writeFloatBE(value, target.length) : target.bytes.writeDoubleBE(value, target.length)
    },
    canonical: (source, start, end, isBinary) => {
      if (!isBinary) {
        const value = Number(asciiText(source, start, end))
        return String(bytes === 4 ? Math.fround(value) : value)
      }
      if (end - start !== bytes) return undefined
      const view = viewOf(source, start, end)
      return String(bytes === 4 ? view.getFloat32(0) : view.getFloat64(0))
    },
  }
}

/** Plain decimal notation. Binary form: int16 digit groups, weight, sign, display scale, then base-10000 groups (numeric_send). */
export const NUMERIC: TypeCodec<string> = {
  redacted: '0',
  parse: (text) => only(/^[+-]?\d{1,1000}(\.\d{1,1000})?$/.test(text), () => text.replace(/^\+/, '')),
  fromDigest: (digest) => String(digest.readUIntBE(0, 6)),
  writeText: (value, target) => void target.utf8(value),
  writeBinary: writeNumeric,
}

function writeNumeric(value: string, target: ByteWriter): void {
  const isNegative = value.startsWith('-')
  const [whole = '0', fraction = ''] = value.replace('-', '').split('.')
  const head = whole.padStart(Math.ceil(whole.length / 4) * 4, '0')
  const tail = fraction.padEnd(Math.ceil(fraction.length / 4) * 4, '0')
  const groups: number[] = []
  for (let i = 0; i < head.length + tail.length; i += 4) groups.push(Number((head + tail).slice(i, i + 4)))
  let weight = head.length / 4 - 1
  while (groups.length > 0 && groups[0] === 0) {
    groups.shift()
    weight--
  }
  while (groups.length > 0 && groups.at(-1) === 0) groups.pop()
  if (groups.length === 0) weight = 0
  target.i16(groups.length).i16(weight)
  target.reserve(2)
  target.length = target.bytes.writeUInt16BE(isNegative && groups.length > 0 ? 0x4000 : 0, target.length)
  target.i16(fraction.length)
  for (const group of groups) target.i16(group)
}

/** Hundredths. Other locales than those with two decimals read the binary form differently. */
export const MONEY: TypeCodec<bigint> = {
  redacted: 0n,
  parse: (text) =>
    only(/^-?\d{1,15}(\.\d{2})?$/.test(text), () => BigInt(text.includes('.') ? text.replace('.', '') : `${text}00`)),
  fromDigest: (digest) => BigInt(digest.readUInt32BE(0)),
  writeText: (value, target) => {
    const cents = (value < 0n ? -value : value).toString().padStart(3, '0')
    target.utf8(`${value < 0n ? '-' : ''}${cents.slice(0, -2)}.${cents.slice(-2)}`)
  },
  writeBinary: writeInt64,
}

/** A hash of two possible values tells which is which, so there is none. */
export const BOOL: TypeCodec<boolean> = {
  redacted: false,
  parse: (text) => (/^(t|true|on|yes|1)$/i.test(text) ? true : only(/^(f|false|off|no|0)$/i.test(text), () => false)),
  fromDigest: () => false,
  writeText: (value, target) => void target.u8(value ? 0x74 : 0x66),
  writeBinary: (value, target) => void target.u8(value ? 1 : 0),
}
