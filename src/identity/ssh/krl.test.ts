import { readFileSync, writeFileSync } from 'node:fs'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { decodeSshCertificate, readSshKeyLine, SallyportError } from '../../core/index.js'
import { KeyForge } from '../../core/ssh/ssh.test-support.js'
import { decodeKrl, type SshRevocations } from './index.js'

const forge = new KeyForge()
beforeAll(() => {
  for (const name of ['ca', 'other', 'id', 'gone']) forge.key(name, 'ed25519')
})
afterAll(() => forge.remove())

const blobOf = (name: string): Uint8Array => readSshKeyLine(forge.read(name)).blob

/** A list that the real ssh-keygen makes of a specification. */
function krl(...lines: string[]): Buffer {
  writeFileSync(forge.path('spec'), `${lines.join('\n')}\n`)
  forge.keygen('-q', '-k', '-f', 'krl', '-s', 'ca.pub', 'spec')
  return readFileSync(forge.path('krl'))
}

/** What we say, held to what `ssh-keygen -Q` says of the same certificate. */
function isRevoked(list: SshRevocations, serial: bigint, keyId = 'id', authority = 'ca'): boolean {
  forge.certify(authority, 'id', '-I', keyId, '-n', 'alice', '-z', String(serial))
  const certificate = decodeSshCertificate(blobOf('id-cert.pub'))
  const ours =
    list.isCertificateRevoked(certificate) ||
    list.isKeyRevoked(certificate.key.blob) ||
    list.isKeyRevoked(certificate.authority.blob)
  let theirs = false
  try {
    forge.keygen('-Q', '-f', 'krl', 'id-cert.pub')
  } catch {
    theirs = true
  }
  expect(ours).toBe(theirs)
  return ours
}

describe('a key revocation list', () => {
  it('revokes what ssh-keygen says it revokes', () => {
    // Serials far apart, in a range, and close together: a list, a range and a bitmap.
    const close = Array.from({ length: 20 }, (_, at) => `serial: ${1_000 + at * 3}`)
    const list = decodeKrl(krl('serial: 7', 'serial: 100-200', 'serial: 18446744073709551615', 'id: bad', ...close))
    const wanted: [bigint, boolean][] = [
      [6n, false],
      [7n, true],
      [8n, false],
      [99n, false],
      [100n, true],
      [150n, true],
      [200n, true],
      [201n, false],
      [999n, false],
      [1_000n, true],
      [1_001n, false],
      [1_003n, true],
      [1_057n, true],
      [1_060n, false],
      [18_446_744_073_709_551_615n, true],
    ]
    for (const [serial, expected] of wanted) expect(isRevoked(list, serial)).toBe(expected)
    expect(isRevoked(list, 1n, 'bad')).toBe(true)
    expect(isRevoked(list, 7n, 'id', 'other')).toBe(false)
  })

  it('revokes keys by themselves and by either fingerprint', () => {
    for (const form of ['key', 'sha1', 'sha256']) {
      const list = decodeKrl(krl(`${form}: ${forge.read('gone.pub')}`))
      expect(list.isKeyRevoked(blobOf('gone.pub'))).toBe(true)
      expect(list.isKeyRevoked(blobOf('id.pub'))).toBe(false)
      expect(isRevoked(list, 1n)).toBe(false)
    }
    const authority = decodeKrl(krl(`key: ${forge.read('ca.pub')}`))
    expect(isRevoked(authority, 1n)).toBe(true)
    expect(isRevoked(authority, 1n, 'id', 'other')).toBe(false)
  })

  it('is refused at every cut, or read as far as a whole section, and whatever garbage comes', () => {
    const bytes = krl('serial: 7', 'serial: 100-200', 'id: bad', `key: ${forge.read('gone.pub')}`)
    const read = (source: Uint8Array): boolean => {
      try {
        decodeKrl(source)
        return true
      } catch (error) {
        if (error instanceof SallyportError && error.code === 'invalid_option') return false
        throw error
      }
    }
    const whole = Array.from(bytes, (_, end) => end).filter((end) => read(bytes.subarray(0, end)))
    expect(read(bytes)).toBe(true)
    // Behind the header, and between the two sections.
    expect(whole.length).toBeLessThanOrEqual(3)
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, value) => {
        const changed = Buffer.from(bytes)
        changed[at] = value
        read(changed)
      }),
    )
    expect(read(Buffer.concat([bytes, Buffer.of(4, 0, 0, 0, 0)]))).toBe(false)
    expect(read(Buffer.concat([bytes, Buffer.of(255, 0, 0, 0, 0)]))).toBe(false)
    expect(read(Buffer.from('ssh-ed25519 AAAA'))).toBe(false)
  })
})
