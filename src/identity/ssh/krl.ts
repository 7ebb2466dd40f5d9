import { createHash } from 'node:crypto'
import { SshReader, type SshCertificate } from '../../core/index.js'
import type { SshRevocations } from './revocations.js'

const MAGIC = Buffer.from('SSHKRL\n\0', 'latin1')
const FORMAT_VERSION = 1
/** A list of a million fingerprints fits. */
const MAX_SECTION_BYTES = 64 * 1_024 * 1_024
const MAX_BITMAP_BYTES = 4 * 1_024 * 1_024

const SECTION_CERTIFICATES = 1
const SECTION_EXPLICIT_KEY = 2
const SECTION_FINGERPRINT_SHA1 = 3
const SECTION_FINGERPRINT_SHA256 = 5

const CERT_SERIAL_LIST = 0x20
const CERT_SERIAL_RANGE = 0x21
const CERT_SERIAL_BITMAP = 0x22
const CERT_KEY_ID = 0x23

type CertificateTest = (certificate: SshCertificate) => boolean

/**
 * Reads a key revocation list of OpenSSH, as `ssh-keygen -k` writes it:
 *
 *     uint64 magic, uint32 format version, uint64 list version, uint64 date, uint64 flags, string reserved, string comment,
 *     then sections of byte type, string data
 *
 * @throws SallyportError `invalid_option` for anything that is not understood, signed lists included: what it revokes would be lost
 * @see PROTOCOL.krl of OpenSSH
 */
export function decodeKrl(bytes: Uint8Array): SshRevocations {
  const reader = readerOf(bytes, 'revocation list')
  if (!reader.bytes(MAGIC.length).equals(MAGIC)) throw reader.problem('is none of OpenSSH')
  const version = reader.uint32()
  if (version !== FORMAT_VERSION) throw reader.problem(`is of format ${version}, not ${FORMAT_VERSION}`)
  reader.uint64()
  reader.uint64()
  if (reader.uint64() !== 0n) throw reader.problem('has flags that are not understood')
  if (reader.string().length > 0) throw reader.problem('uses its reserved field')
  reader.string()
  const keys = new Set<string>()
  const tests: CertificateTest[] = []
  while (reader.remaining > 0) {
    const type = reader.byte()
    const section = readerOf(reader.string(), `section ${type} of a revocation list`)
    if (type === SECTION_CERTIFICATES) tests.push(readCertificates(section))
    else if (type === SECTION_EXPLICIT_KEY) readStrings(section, (key) => keys.add(`sha256:${digest('sha256', key)}`))
    else if (type === SECTION_FINGERPRINT_SHA1) readStrings(section, (hash) => keys.add(`sha1:${hash.toString('hex')}`))
    else if (type === SECTION_FINGERPRINT_SHA256)
      readStrings(section, (hash) => keys.add(`sha256:${hash.toString('hex')}`))
    else throw section.problem('is not understood')
  }
  return {
    isKeyRevoked: (blob) => keys.has(`sha256:${digest('sha256', blob)}`) || keys.has(`sha1:${digest('sha1', blob)}`),
    isCertificateRevoked: (certificate) => tests.some((isRevoked) => isRevoked(certificate)),
  }
}

/** string authority, empty for any; string reserved; then byte type, string data each. */
function readCertificates(section: SshReader): CertificateTest {
  const authority = section.string()
  if (section.string().length > 0) throw section.problem('uses its reserved field')
  const tests: CertificateTest[] = []
  while (section.remaining > 0) {
    const type = section.byte()
    tests.push(readSerials(readerOf(section.string(), `certificates of a revocation list`), type))
  }
  return (certificate) =>
    (authority.length === 0 || authority.equals(certificate.authority.blob)) &&
    tests.some((isRevoked) => isRevoked(certificate))
}

function readSerials(reader: SshReader, type: number): CertificateTest {
  switch (type) {
    case CERT_SERIAL_LIST: {
      const serials = new Set<bigint>()
      while (reader.remaining > 0) serials.add(reader.uint64())
      return ({ serial }) => serials.has(serial)
    }
    case CERT_SERIAL_RANGE: {
      const first = reader.uint64()
      const last = reader.uint64()
      reader.finish()
      return ({ serial }) => first <= serial && serial <= last
    }
    case CERT_SERIAL_BITMAP: {
      const offset = reader.uint64()
      // Bit 0, of the last byte, is the serial of the offset.
      const bitmap = reader.mpint(MAX_BITMAP_BYTES)
      reader.finish()
      return ({ serial }) => {
        const bit = serial - offset
        if (bit < 0n || bit >= BigInt(bitmap.length * 8)) return false
        const at = Number(bit)
        return (((bitmap[bitmap.length - 1 - (at >> 3)] as number) >> (at & 7)) & 1) === 1
      }
    }
    case CERT_KEY_ID: {
      const ids = new Set<string>()
      while (reader.remaining > 0) ids.add(reader.text())
      return ({ keyId }) => ids.has(keyId)
    }
    default:
      throw reader.problem(`has a section of the unknown type ${type}`)
  }
}

function readStrings(section: SshReader, take: (bytes: Buffer) => unknown): void {
  while (section.remaining > 0) take(section.string())
}

function readerOf(bytes: Uint8Array, message: string): SshReader {
  return new SshReader(bytes, { message, code: 'invalid_option', maxStringBytes: MAX_SECTION_BYTES })
}

function digest(algorithm: 'sha1' | 'sha256', bytes: Uint8Array): string {
  return createHash(algorithm).update(bytes).digest('hex')
}
