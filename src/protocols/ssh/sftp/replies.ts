import { ByteWriter } from '../../../core/index.js'
import { INIT, REALPATH, STATUS, VERSION } from './packet-types.js'

/**
 * SSH_FXP_STATUS: uint32 id, uint32 code, string message, string language tag.
 *
 * @see draft-ietf-secsh-filexfer-02 section 7
 */
export function statusPacket(id: number, code: number, message: string): Buffer {
  const text = Buffer.from(message, 'utf8')
  const writer = new ByteWriter(32 + text.length)
  writer
    .u32(17 + text.length + 2)
    .u8(STATUS)
    .u32(id)
    .u32(code)
  writer.u32(text.length).append(text)
  return writer.u32(2).utf8('en').take()
}

/** SSH_FXP_INIT: uint32 version. Without extensions: version 3 has none for the client to announce (section 4). */
export function initPacket(): Buffer {
  return new ByteWriter(16).u32(5).u8(INIT).u32(3).take()
}

/** SSH_FXP_REALPATH: uint32 id, string path (section 6.11): of the working directory. */
export function workingDirectoryPacket(id: number): Buffer {
  return new ByteWriter(16).u32(10).u8(REALPATH).u32(id).u32(1).utf8('.').take()
}

/** SSH_FXP_VERSION: uint32 version, then pairs of string name and string data (section 4). */
export function versionPacket(extensions: readonly (readonly [name: string, data: string])[]): Buffer {
  const writer = new ByteWriter(256)
  for (const text of extensions.flat()) writer.u32(Buffer.byteLength(text)).utf8(text)
  const pairs = writer.take()
  return new ByteWriter(16 + pairs.length)
    .u32(5 + pairs.length)
    .u8(VERSION)
    .u32(3)
    .append(pairs)
    .take()
}
