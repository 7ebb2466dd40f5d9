import { REDACTED } from '../strategies.js'
import { asciiText, only, type TypeCodec } from './codec.js'

/** 32 hexadecimal digits. */
const HASH_BYTES = 16

/** Types whose text and binary form are the text itself. */
export function textCodec(maxBytes = Number.POSITIVE_INFINITY): TypeCodec<string> {
  return {
    redacted: REDACTED,
    parse: (text) => only(!text.includes('\0') && Buffer.byteLength(text) <= maxBytes, () => text),
    fromDigest: (digest) => digest.toString('hex', 0, HASH_BYTES),
    writeText: (value, target) => void target.utf8(value),
    writeBinary: (value, target) => void target.utf8(value),
  }
}

/** `"char"`: one byte, too small for a hash that tells nothing. */
export const CHAR: TypeCodec<string> = {
  ...textCodec(),
  redacted: '*',
  parse: (text) => only(/^[\x01-\x7f]$/.test(text), () => text),
  fromDigest: () => '*',
}

/** JSON text; `version` is the byte that binary jsonb begins with. */
export function jsonCodec(version: number | undefined): TypeCodec<string> {
  return {
    redacted: `"${REDACTED}"`,
    parse: (text) => only(isJson(text) && (version === undefined || !/\\u0000|\\ud[89a-f]/i.test(text)), () => text),
    fromDigest: (digest) => `"${digest.toString('hex', 0, HASH_BYTES)}"`,
    writeText: (value, target) => void target.utf8(value),
    writeBinary: (value, target) => {
      if (version !== undefined) target.u8(version)
      target.utf8(value)
    },
    canonical: (source, start, end, isBinary) =>
      Buffer.from(source.buffer, source.byteOffset + start, end - start).toString(
        'utf8',
        isBinary && version !== undefined ? 1 : 0,
      ),
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return !text.includes('\0')
  } catch {
    return false
  }
}

/** A whole document, because some clients parse it as one. */
export const XML: TypeCodec<string> = {
  ...textCodec(),
  redacted: '<redacted/>',
  parse: (text) => only(!/[<>&\0-\x08\x0b\x0c\x0e-\x1f]/.test(text), () => `<redacted>${text}</redacted>`),
  fromDigest: (digest) => `<redacted hash="${digest.toString('hex', 0, HASH_BYTES)}"/>`,
}

export const BYTEA: TypeCodec<Buffer> = {
  redacted: Buffer.from(REDACTED),
  parse: (text) => {
    if (!text.startsWith('\\x')) return Buffer.from(text)
    return only(/^\\x([0-9a-f]{2})*$/i.test(text), () => Buffer.from(text.slice(2), 'hex'))
  },
  fromDigest: (digest) => Buffer.from(digest.subarray(0, 16)),
  writeText: (value, target) => void target.utf8(`\\x${value.toString('hex')}`),
  writeBinary: (value, target) => void target.append(value),
  canonical: (source, start, end, isBinary) => {
    if (isBinary) return Buffer.from(source.buffer, source.byteOffset + start, end - start).toString('hex')
    const text = asciiText(source, start, end)
    return text.startsWith('\\x') ? text.slice(2) : undefined
  },
}
