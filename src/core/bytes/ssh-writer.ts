import { SallyportError } from '../errors.js'
import { ByteWriter } from './writer.js'

const MAX_U64 = 0xffff_ffff_ffff_ffffn

/**
 * Writes SSH data types. Lengths are of the bytes written, never of the text given.
 *
 * @see RFC 4251 section 5
 */
export class SshWriter extends ByteWriter {
  boolean(value: boolean): this {
    return this.u8(value ? 1 : 0)
  }

  /** @throws SallyportError `internal` for a number that does not fit */
  u64(value: bigint): this {
    if (value < 0n || value > MAX_U64) throw new SallyportError('internal', 'a number does not fit into 64 bits')
    this.reserve(8)
    this.length = this.bytes.writeBigUInt64BE(value, this.length)
    return this
  }

  /** Copies `bytes` behind their length. */
  string(bytes: Uint8Array): this {
    return this.u32(bytes.length).append(bytes)
  }

  /** A text as UTF-8. */
  text(value: string): this {
    return this.string(Buffer.from(value, 'utf8'))
  }

  /** @param magnitude of a number that is not negative, big-endian; leading zero bytes are dropped */
  mpint(magnitude: Uint8Array): this {
    let start = 0
    while (magnitude[start] === 0) start++
    const first = magnitude[start]
    if (first === undefined) return this.u32(0)
    if (first < 0x80) return this.u32(magnitude.length - start).append(magnitude, start)
    return this.u32(magnitude.length - start + 1)
      .u8(0)
      .append(magnitude, start)
  }

  /** @throws SallyportError `internal` for a name that is empty or has a comma */
  nameList(names: readonly string[]): this {
    if (names.some((name) => name === '' || name.includes(','))) {
      throw new SallyportError('internal', 'a name of a name-list is empty or has a comma')
    }
    return this.text(names.join(','))
  }
}
