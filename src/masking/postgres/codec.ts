import type { ByteWriter } from '../../core/index.js'

/**
 * How values of one type are made up and written. `T` is whatever describes a value best; the same value can be
 * written in both formats.
 */
export interface TypeCodec<T> {
  /** The placeholder. */
  readonly redacted: T
  /** The value a constant names; undefined when it names none of this type. */
  parse(text: string): T | undefined
  /** A valid value that depends on nothing but the 32 bytes given. */
  fromDigest(digest: Buffer): T
  writeText(value: T, target: ByteWriter): void
  writeBinary(value: T, target: ByteWriter): void
  /**
   * What is hashed for a cell, when text and binary form of one value are to give one hash. Undefined: the cell's bytes.
   */
  readonly canonical?: (bytes: Uint8Array, start: number, end: number, isBinary: boolean) => string | undefined
}

/** `undefined` instead of a parsed value where `isValid` is false. */
export function only<T>(isValid: boolean, value: () => T): T | undefined {
  return isValid ? value() : undefined
}

export function asciiText(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1')
}

export function viewOf(bytes: Uint8Array, start: number, end: number): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset + start, end - start)
}
