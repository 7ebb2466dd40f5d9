import { ByteWriter, CELL_NULL, type CellMask, type MaskStrategy } from '../../core/index.js'
import type { KeyedHash } from '../keyed-hash.js'
import { appendPartial, type Kept } from '../partial.js'
import { keptOf } from '../strategies.js'
import { ArrayMask } from './array-mask.js'
import type { TypeCodec } from './codec.js'
import { elementTypeOf, type PostgresType, typeOf } from './types.js'

/** The value becomes NULL. */
export const NULL_MASK: CellMask = { apply: () => CELL_NULL }

/** The same bytes for every value. */
class FixedMask implements CellMask {
  readonly #bytes: Buffer

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  apply(_source: Uint8Array, _start: number, _end: number, target: ByteWriter): number {
    target.append(this.#bytes)
    return this.#bytes.length
  }
}

class PartialMask implements CellMask {
  readonly #kept: Kept

  constructor(kept: Kept) {
    this.#kept = kept
  }

  apply(source: Uint8Array, start: number, end: number, target: ByteWriter): number {
    const before = target.length
    appendPartial(source, start, end, this.#kept, target)
    return target.length - before
  }
}

class HashMask implements CellMask {
  readonly #hash: KeyedHash
  readonly #type: PostgresType
  readonly #codec: TypeCodec<unknown>
  readonly #isBinary: boolean
  readonly #domain: string

  constructor(hash: KeyedHash, type: PostgresType, codec: TypeCodec<unknown>, isBinary: boolean) {
    this.#hash = hash
    this.#type = type
    this.#codec = codec
    this.#isBinary = isBinary
    // Text is text whatever it is declared as, so that it can still be joined.
    this.#domain = `column:${type.isText ? 'text' : type.name}`
  }

  apply(source: Uint8Array, start: number, end: number, target: ByteWriter): number {
    const before = target.length
    const trimmed = this.#type.name === 'bpchar' ? withoutPadding(source, start, end) : end
    const canonical = this.#codec.canonical?.(source, start, end, this.#isBinary)
    const digest =
      canonical === undefined
        ? this.#hash.digest(this.#domain, source, start, trimmed)
        : this.#hash.begin(this.#domain).update(canonical).digest()
    const value = this.#codec.fromDigest(digest)
    if (this.#isBinary) this.#codec.writeBinary(value, target)
    else this.#codec.writeText(value, target)
    return target.length - before
  }
}

function withoutPadding(source: Uint8Array, start: number, end: number): number {
  let trimmed = end
  while (trimmed > start && source[trimmed - 1] === 0x20) trimmed--
  return trimmed
}

/** The mask for every value of a column of this type. NULL where no valid replacement exists. */
export function columnMask(oid: number, format: 'text' | 'binary', strategy: MaskStrategy, hash: KeyedHash): CellMask {
  if (strategy.kind === 'null') return NULL_MASK
  const element = elementTypeOf(oid)
  if (element !== undefined) {
    const mask = valueMask(element, format, strategy, hash)
    // An array whose every element is NULL would still tell how many there are.
    return mask === NULL_MASK ? NULL_MASK : new ArrayMask(element.oid, mask, format)
  }
  const type = typeOf(oid)
  return type === undefined ? NULL_MASK : valueMask(type, format, strategy, hash)
}

function valueMask(type: PostgresType, format: 'text' | 'binary', strategy: MaskStrategy, hash: KeyedHash): CellMask {
  const codec = type.codec
  const isBinary = format === 'binary'
  // Fails closed: a type that cannot be rebuilt gives nothing away.
  if (codec === undefined) return NULL_MASK
  switch (strategy.kind) {
    case 'null':
      return NULL_MASK
    case 'redact':
      return fixed(codec, codec.redacted, isBinary)
    case 'constant': {
      const value = codec.parse(strategy.value)
      return value === undefined ? NULL_MASK : fixed(codec, value, isBinary)
    }
    case 'hash':
      return new HashMask(hash, type, codec, isBinary)
    case 'partial':
      return type.isText ? new PartialMask(keptOf(strategy)) : fixed(codec, codec.redacted, isBinary)
    default: {
      const unreachable: never = strategy
      return unreachable
    }
  }
}

function fixed(codec: TypeCodec<unknown>, value: unknown, isBinary: boolean): CellMask {
  const writer = new ByteWriter()
  if (isBinary) codec.writeBinary(value, writer)
  else codec.writeText(value, writer)
  return new FixedMask(Buffer.from(writer.view()))
}
