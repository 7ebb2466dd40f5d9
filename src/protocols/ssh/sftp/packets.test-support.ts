import { ByteWriter } from '../../../core/index.js'
import * as p from './packet-types.js'

type Field = number | bigint | string | Uint8Array

/** A packet of these fields: numbers are uint32, bigints uint64, texts and bytes strings. */
export function packet(type: number, ...fields: readonly Field[]): Buffer {
  const writer = new ByteWriter()
  writer.u8(type)
  for (const field of fields) {
    if (typeof field === 'number') writer.u32(field)
    else if (typeof field === 'bigint') writer.u32(Number(field >> 32n)).u32(Number(field & 0xffff_ffffn))
    else {
      const bytes = Buffer.from(field as string)
      writer.u32(bytes.length).append(bytes)
    }
  }
  const body = writer.take()
  return Buffer.concat([new ByteWriter(4).u32(body.length).take(), body])
}

export const init = packet(p.INIT, 3)
export const version = (...extensions: readonly string[]): Buffer => packet(p.VERSION, 3, ...extensions)
export const status = (id: number, code: number, text = ''): Buffer => packet(p.STATUS, id, code, text, '')
export const name = (id: number, path: string): Buffer => packet(p.NAME, id, 1, path, path, 0)
export const open = (id: number, path: string | Uint8Array, flags: number): Buffer => packet(p.OPEN, id, path, flags, 0)
export const read = (id: number, handle: string, offset: number, length: number): Buffer =>
  packet(p.READ, id, handle, BigInt(offset), length)
export const write = (id: number, handle: string, offset: number, data: Uint8Array | string): Buffer =>
  packet(p.WRITE, id, handle, BigInt(offset), data)
