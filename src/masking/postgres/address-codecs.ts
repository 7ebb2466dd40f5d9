import type { ByteWriter } from '../../core/index.js'
import { asciiText, only, type TypeCodec } from './codec.js'

const UUID_BYTES = 16

export const UUID: TypeCodec<Buffer> = {
  redacted: Buffer.alloc(UUID_BYTES),
  parse: (text) =>
    only(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text), () => Buffer.from(text.replaceAll('-', ''), 'hex')),
  // RFC 9562 version 8: whatever the maker wants, here a keyed hash.
  fromDigest: (digest) => {
    const value = Buffer.from(digest.subarray(0, UUID_BYTES))
    value[6] = ((value[6] as number) & 0x0f) | 0x80
    value[8] = ((value[8] as number) & 0x3f) | 0x80
    return value
  },
  writeText: (value, target) => {
    const hex = value.toString('hex')
    target.utf8(`${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`)
  },
  writeBinary: (value, target) => void target.append(value),
  canonical: (source, start, end, isBinary) =>
    isBinary
      ? Buffer.from(source.buffer, source.byteOffset + start, end - start).toString('hex')
      : asciiText(source, start, end).replaceAll('-', ''),
}

export interface Network {
  /** Four bytes. */
  readonly address: Buffer
  readonly bits: number
}

/** IPv4 only: that is what placeholders and hashes need. Binary form: family, bits, is cidr, length, address (network_send). */
export function networkCodec(isCidr: boolean): TypeCodec<Network> {
  return {
    redacted: { address: Buffer.alloc(4), bits: isCidr ? 0 : 32 },
    parse: (text) => parseNetwork(text, isCidr),
    // 240.0.0.0/4 is reserved and belongs to nobody.
    fromDigest: (digest) => ({
      address: Buffer.from([
        0xf0 | ((digest[0] as number) & 0x0f),
        digest[1] as number,
        digest[2] as number,
        digest[3] as number,
      ]),
      bits: 32,
    }),
    writeText: (value, target) => {
      target.utf8([...value.address].join('.'))
      if (isCidr || value.bits !== 32) target.utf8(`/${value.bits}`)
    },
    writeBinary: (value, target: ByteWriter) =>
      void target
        .u8(2)
        .u8(value.bits)
        .u8(isCidr ? 1 : 0)
        .u8(4)
        .append(value.address),
  }
}

function parseNetwork(text: string, isCidr: boolean): Network | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\/(\d{1,2}))?$/.exec(text)
  if (match === null) return undefined
  const parts = match.slice(1, 5).map(Number)
  const bits = match[5] === undefined ? 32 : Number(match[5])
  if (parts.some((part) => part > 255) || bits > 32) return undefined
  const address = Buffer.from(parts)
  // A cidr has no bits set to the right of its mask.
  const hostBits = bits === 32 ? 0 : address.readUInt32BE(0) % 2 ** (32 - bits)
  return only(!isCidr || hostBits === 0, () => ({ address, bits }))
}

/** macaddr (6 bytes) and macaddr8. */
export function macCodec(bytes: 6 | 8): TypeCodec<Buffer> {
  const pattern = new RegExp(`^[0-9a-f]{2}(:[0-9a-f]{2}){${bytes - 1}}$`, 'i')
  return {
    redacted: Buffer.alloc(bytes),
    parse: (text) => only(pattern.test(text), () => Buffer.from(text.replaceAll(':', ''), 'hex')),
    fromDigest: (digest) => {
      const value = Buffer.from(digest.subarray(0, bytes))
      value[0] = ((value[0] as number) & 0xfc) | 0x02 // locally administered, one receiver
      return value
    },
    writeText: (value, target) => void target.utf8((value.toString('hex').match(/../g) as string[]).join(':')),
    writeBinary: (value, target) => void target.append(value),
  }
}

/** Zeros and ones. Binary form: int32 count of bits, then the bits from the highest on (varbit_send). */
export const BITS: TypeCodec<string> = {
  redacted: '0',
  parse: (text) => only(/^[01]{1,4096}$/.test(text), () => text),
  fromDigest: (digest) => digest.readBigUInt64BE(0).toString(2).padStart(64, '0'),
  writeText: (value, target) => void target.utf8(value),
  writeBinary: (value, target) => {
    target.i32(value.length)
    for (let i = 0; i < value.length; i += 8) target.u8(Number.parseInt(value.slice(i, i + 8).padEnd(8, '0'), 2))
  },
}
