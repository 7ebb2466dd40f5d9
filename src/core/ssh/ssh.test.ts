import { createHash, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SshReader } from '../bytes/ssh-reader.js'
import { SshWriter } from '../bytes/ssh-writer.js'
import { SallyportError } from '../errors.js'
import {
  certificateOption,
  certificateOptionText,
  decodeSshCertificate,
  encodeUnsignedCertificate,
  isSignedByAuthority,
} from './certificate.js'
import { decodeSshPublicKey, parseSshPublicKey, readSshKeyLine, sshFingerprint, sshPublicKeyOf } from './public-key.js'
import { signSsh, verifySshSignature } from './signature.js'
import { KeyForge } from './ssh.test-support.js'

const KINDS: [string, string, number | undefined][] = [
  ['ed25519', 'ed25519', undefined],
  ['p256', 'ecdsa', 256],
  ['p384', 'ecdsa', 384],
  ['p521', 'ecdsa', 521],
  ['rsa', 'rsa', 2048],
]

const forge = new KeyForge()
const lines = new Map<string, string>()
beforeAll(() => {
  for (const [name, type, bits] of KINDS) lines.set(name, forge.key(name, type, bits))
})
afterAll(() => forge.remove())

const line = (name: string): string => lines.get(name) ?? ''
const blobOf = (text: string): Uint8Array => readSshKeyLine(text).blob
/** Undefined, or what `run` threw; anything but an error of this library fails the test. */
const refusal = (run: () => unknown): string | undefined => {
  try {
    run()
    return undefined
  } catch (error) {
    if (error instanceof SallyportError) return error.code
    throw error
  }
}

const generated = (): [string, KeyObject][] => [
  ['ed25519', generateKeyPairSync('ed25519').privateKey],
  ['p256', generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey],
  ['p384', generateKeyPairSync('ec', { namedCurve: 'secp384r1' }).privateKey],
  ['p521', generateKeyPairSync('ec', { namedCurve: 'secp521r1' }).privateKey],
  ['rsa', generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey],
]

describe('SSH public keys', () => {
  it('are read as ssh-keygen writes them, with its fingerprint and size', () => {
    for (const [name] of KINDS) {
      const key = parseSshPublicKey(line(name))
      const [bits, fingerprint] = forge.keygen('-l', '-f', `${name}.pub`).split(' ')
      expect(`${key.bits} ${sshFingerprint(key.blob)}`).toBe(`${bits} ${fingerprint}`)
      expect(Buffer.from(key.blob)).toEqual(blobOf(line(name)))
      expect(sshPublicKeyOf(key.keyObject).blob).toEqual(key.blob)
    }
  })

  it('are written so that ssh-keygen reads them', () => {
    for (const [name, key] of generated()) {
      const { type, blob, bits } = sshPublicKeyOf(key)
      writeFileSync(forge.path(`own-${name}.pub`), `${type} ${Buffer.from(blob).toString('base64')}\n`)
      expect(forge.keygen('-l', '-f', `own-${name}.pub`)).toContain(`${bits} ${sshFingerprint(blob)} `)
    }
  })

  it('are refused when weak, of SHA-1 times, a certificate, off their curve or dressed up as another', () => {
    const small = forge.key('small', 'rsa', 1024)
    expect(refusal(() => parseSshPublicKey(small))).toBe('invalid_option')
    const certificate = forge.certify('ed25519', 'p256', '-I', 'x', '-n', 'alice')
    expect(refusal(() => parseSshPublicKey(certificate))).toBe('invalid_option')
    expect(refusal(() => parseSshPublicKey(line('rsa').replace('ssh-rsa', 'rsa-sha2-512')))).toBe('invalid_option')
    expect(refusal(() => parseSshPublicKey(line('p256').replace('p256', 'p384')))).toBe('invalid_option')
    const dss = new SshWriter().text('ssh-dss').mpint(Buffer.alloc(128, 7)).take()
    expect(refusal(() => decodeSshPublicKey(dss))).toBe('protocol_violation')
    const off = Buffer.from(blobOf(line('p256')))
    off[off.length - 1] = (off.at(-1) ?? 0) ^ 1
    expect(refusal(() => decodeSshPublicKey(off))).toBe('protocol_violation')
    const even = new SshWriter()
      .text('ssh-rsa')
      .mpint(Buffer.of(1, 0, 1))
      .mpint(Buffer.alloc(256, 0xfe))
      .take()
    expect(refusal(() => decodeSshPublicKey(even))).toBe('protocol_violation')
    for (const wrong of [
      '',
      'ssh-ed25519',
      'ssh-ed25519 !!!!',
      'ssh-ed25519 AAAA',
      `ssh-rsa ${line('p256').split(' ')[1]}`,
    ]) {
      expect(refusal(() => parseSshPublicKey(wrong))).toBe('invalid_option')
    }
  })

  it('are refused at every cut, and whatever garbage comes', () => {
    for (const [name] of KINDS) {
      const blob = blobOf(line(name))
      for (let end = 0; end < blob.length; end++) {
        expect(refusal(() => decodeSshPublicKey(blob.subarray(0, end)))).toBe('protocol_violation')
      }
      expect(refusal(() => decodeSshPublicKey(Buffer.concat([blob, Buffer.alloc(1)])))).toBe('protocol_violation')
      fc.assert(
        fc.property(fc.nat(blob.length - 1), fc.nat(255), (at, value) => {
          const changed = Buffer.from(blob)
          changed[at] = value
          refusal(() => decodeSshPublicKey(changed))
        }),
        { numRuns: 60 },
      )
    }
  })
})

describe('SSH signatures', () => {
  const data = Buffer.from('what is signed')

  it('are valid for their key, data and algorithm only', () => {
    for (const [, key] of generated()) {
      const own = sshPublicKeyOf(key)
      const algorithms = own.type === 'ssh-rsa' ? (['rsa-sha2-256', 'rsa-sha2-512'] as const) : ([own.type] as const)
      for (const algorithm of algorithms) {
        const signature = signSsh(key, data, algorithm)
        expect(verifySshSignature(own, algorithm, data, signature)).toEqual({})
        expect(verifySshSignature(own, algorithm, Buffer.from('other'), signature)).toBeUndefined()
        for (const other of ['ssh-rsa', 'rsa-sha2-256', 'rsa-sha2-512', 'ssh-ed25519', 'none', '']) {
          if (other !== algorithm) expect(verifySshSignature(own, other, data, signature)).toBeUndefined()
        }
        for (let end = 0; end < signature.length; end += 3) {
          expect(verifySshSignature(own, algorithm, data, signature.subarray(0, end))).toBeUndefined()
        }
        for (const at of [0, 4, signature.length >> 1, signature.length - 1]) {
          const changed = Buffer.from(signature)
          changed[at] = (changed[at] ?? 0) ^ 0x11
          expect(verifySshSignature(own, algorithm, data, changed)).toBeUndefined()
        }
        expect(verifySshSignature(own, algorithm, data, Buffer.concat([signature, Buffer.alloc(1)]))).toBeUndefined()
      }
    }
  })

  it('of SHA-1 are never valid', () => {
    const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
    const sha1 = new SshWriter()
      .text('ssh-rsa')
      .string(sign('sha1', data, key))
      .take()
    expect(verifySshSignature(sshPublicKeyOf(key), 'ssh-rsa', data, sha1)).toBeUndefined()
    const renamed = new SshWriter()
      .text('rsa-sha2-256')
      .string(sign('sha1', data, key))
      .take()
    expect(verifySshSignature(sshPublicKeyOf(key), 'rsa-sha2-256', data, renamed)).toBeUndefined()
  })

  it('of security keys agree with ssh-keygen, and tell what the key has seen', () => {
    const application = 'ssh:'
    const sha = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest()
    for (const kind of ['ed25519', 'ecdsa'] as const) {
      const pair =
        kind === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' })
      const plain = new SshReader(sshPublicKeyOf(pair.publicKey).blob, { message: 'key', code: 'internal' })
      plain.string()
      const type = kind === 'ed25519' ? 'sk-ssh-ed25519@openssh.com' : 'sk-ecdsa-sha2-nistp256@openssh.com'
      const blob = new SshWriter().text(type).append(plain.rest()).text(application).take()
      const key = decodeSshPublicKey(blob)
      const signWith = (message: Uint8Array, flags: number): Uint8Array => {
        const tail = new SshWriter().u8(flags).u32(7).take()
        const signed = Buffer.concat([sha(Buffer.from(application)), tail, sha(message)])
        const inner = new SshReader(signSsh(pair.privateKey, signed), { message: 'signature', code: 'internal' })
        inner.string()
        return new SshWriter().text(type).string(inner.string()).append(tail).take()
      }
      expect(verifySshSignature(key, type, data, signWith(data, 0x05))).toEqual({
        securityKey: { isUserPresent: true, isUserVerified: true, counter: 7 },
      })
      expect(verifySshSignature(key, type, data, signWith(data, 0x00))?.securityKey?.isUserPresent).toBe(false)
      expect(verifySshSignature(key, type, Buffer.from('other'), signWith(data, 0x01))).toBeUndefined()
      // PROTOCOL.sshsig: what ssh-keygen -Y verify takes.
      const wrapped = new SshWriter()
        .append(Buffer.from('SSHSIG'))
        .text('test')
        .text('')
        .text('sha256')
        .string(sha(data))
        .take()
      const file = new SshWriter()
        .append(Buffer.from('SSHSIG'))
        .u32(1)
        .string(blob)
        .text('test')
        .text('')
        .text('sha256')
        .string(signWith(wrapped, 0x01))
        .take()
      writeFileSync(forge.path('allowed'), `alice ${type} ${blob.toString('base64')}\n`)
      writeFileSync(
        forge.path('signature'),
        `-----BEGIN SSH SIGNATURE-----\n${file.toString('base64')}\n-----END SSH SIGNATURE-----\n`,
      )
      const verdict = forge.verify(
        data,
        '-Y',
        'verify',
        '-f',
        'allowed',
        '-I',
        'alice',
        '-n',
        'test',
        '-s',
        'signature',
      )
      expect(verdict).toContain('Good "test" signature for alice')
    }
  })
})

describe('SSH certificates', () => {
  it('of every kind are read as ssh-keygen lists them', () => {
    for (const [authority] of KINDS) {
      for (const [name, , bits] of KINDS) {
        const algorithm = authority === 'rsa' ? ['-t', bits === 256 ? 'rsa-sha2-256' : 'rsa-sha2-512'] : []
        const text = forge.certify(
          authority,
          name,
          ...algorithm,
          ...['-I', `key of ${name}`, '-n', 'alice,bob', '-z', '18446744073709551615'],
          ...['-V', '20200101000000Z:20300101000000Z', '-O', 'force-command=ls -l', '-O', 'source-address=10.0.0.0/8'],
          ...['-O', 'no-x11-forwarding', '-O', 'extension:login@example.com=alice'],
        )
        const certificate = decodeSshCertificate(blobOf(text))
        expect(isSignedByAuthority(certificate)).toBe(true)
        expect(certificate.key.blob).toEqual(parseSshPublicKey(line(name)).blob)
        expect(certificate.authority.blob).toEqual(parseSshPublicKey(line(authority)).blob)
        expect(certificate).toMatchObject({
          kind: 'user',
          keyId: `key of ${name}`,
          principals: ['alice', 'bob'],
          serial: 0xffff_ffff_ffff_ffffn,
          validAfterUnixSeconds: 1_577_836_800n,
          validBeforeUnixSeconds: 1_893_456_000n,
        })
        expect(certificate.criticalOptions.map((each) => [each.name, certificateOptionText(each)])).toEqual([
          ['force-command', 'ls -l'],
          ['source-address', '10.0.0.0/8'],
        ])
        expect(certificate.extensions.map((each) => each.name)).toEqual([
          'login@example.com',
          'permit-agent-forwarding',
          'permit-port-forwarding',
          'permit-pty',
          'permit-user-rc',
        ])
      }
    }
  })

  it('SSH-5 never have a certificate as their authority, and are not signed with SHA-1', () => {
    const own = generateKeyPairSync('ed25519').privateKey
    const key = parseSshPublicKey(line('p256'))
    const fields = {
      kind: 'user' as const,
      serial: 1n,
      keyId: 'x',
      principals: ['alice'],
      validAfterUnixSeconds: 0n,
      validBeforeUnixSeconds: 99n,
      criticalOptions: [certificateOption('force-command', 'ls')],
      extensions: [certificateOption('permit-pty')],
    }
    const issue = (authority: Uint8Array, sign: (bytes: Uint8Array) => Uint8Array): Uint8Array => {
      const plain = { ...sshPublicKeyOf(own), blob: authority }
      const unsigned = encodeUnsignedCertificate(key, plain, Buffer.alloc(32, 1), fields)
      return new SshWriter().append(unsigned).string(sign(unsigned)).take()
    }
    const good = issue(sshPublicKeyOf(own).blob, (bytes) => signSsh(own, bytes))
    expect(isSignedByAuthority(decodeSshCertificate(good))).toBe(true)
    writeFileSync(
      forge.path('own-cert.pub'),
      `ecdsa-sha2-nistp256-cert-v01@openssh.com ${Buffer.from(good).toString('base64')}\n`,
    )
    expect(forge.keygen('-L', '-f', 'own-cert.pub')).toMatch(/Key ID: "x"[\s\S]*force-command ls[\s\S]*permit-pty/)

    expect(refusal(() => decodeSshCertificate(issue(good, (bytes) => signSsh(own, bytes))))).toBe('protocol_violation')
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
    const sha1 = issue(sshPublicKeyOf(rsa).blob, (bytes) =>
      new SshWriter()
        .text('ssh-rsa')
        .string(sign('sha1', bytes, rsa))
        .take(),
    )
    expect(isSignedByAuthority(decodeSshCertificate(sha1))).toBe(false)
    const signedByOther = issue(sshPublicKeyOf(rsa).blob, (bytes) => signSsh(own, bytes))
    expect(isSignedByAuthority(decodeSshCertificate(signedByOther))).toBe(false)
  })

  it('are refused at every cut, and no changed byte keeps a signature', () => {
    const text = forge.certify('ed25519', 'p256', '-I', 'x', '-n', 'alice', '-O', 'force-command=ls')
    const blob = blobOf(text)
    for (let end = 0; end < blob.length; end++) {
      expect(refusal(() => decodeSshCertificate(blob.subarray(0, end)))).toBe('protocol_violation')
    }
    for (let at = 0; at < blob.length; at++) {
      const changed = Buffer.from(blob)
      changed[at] = (changed[at] ?? 0) ^ (1 + (at % 255))
      let isSigned = false
      const code = refusal(() => {
        isSigned = isSignedByAuthority(decodeSshCertificate(changed))
      })
      expect(isSigned).toBe(false)
      expect(['protocol_violation', 'limit_exceeded', undefined]).toContain(code)
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        refusal(() => decodeSshCertificate(bytes))
        refusal(() => decodeSshCertificate(Buffer.concat([blob.subarray(0, 60), bytes])))
      }),
    )
  })

  it('with options out of order, a used reserved field or a short nonce are refused', () => {
    const own = generateKeyPairSync('ed25519').privateKey
    const key = sshPublicKeyOf(own)
    const pack = (nonce: number, options: string[], reserved: string): Uint8Array => {
      const list = new SshWriter()
      for (const name of options) list.text(name).text('')
      const plain = new SshReader(key.blob, { message: 'key', code: 'internal' })
      plain.string()
      const unsigned = new SshWriter()
        .text('ssh-ed25519-cert-v01@openssh.com')
        .string(Buffer.alloc(nonce))
        .append(plain.rest())
        .u64(0n)
        .u32(1)
        .text('id')
        .string(new SshWriter().text('alice').view())
        .u64(0n)
        .u64(9n)
        .string(list.view())
        .text('')
        .text(reserved)
        .string(key.blob)
        .take()
      return new SshWriter().append(unsigned).string(signSsh(own, unsigned)).take()
    }
    expect(refusal(() => decodeSshCertificate(pack(32, ['a', 'b'], '')))).toBe(undefined)
    expect(refusal(() => decodeSshCertificate(pack(32, ['b', 'a'], '')))).toBe('protocol_violation')
    expect(refusal(() => decodeSshCertificate(pack(32, ['a', 'a'], '')))).toBe('protocol_violation')
    expect(refusal(() => decodeSshCertificate(pack(32, [], 'x')))).toBe('protocol_violation')
    expect(refusal(() => decodeSshCertificate(pack(4, [], '')))).toBe('protocol_violation')
  })

  it('on security keys are read too', () => {
    const pair = generateKeyPairSync('ed25519')
    const plain = new SshReader(sshPublicKeyOf(pair.publicKey).blob, { message: 'key', code: 'internal' })
    plain.string()
    const blob = new SshWriter().text('sk-ssh-ed25519@openssh.com').append(plain.rest()).text('ssh:').take()
    writeFileSync(forge.path('sk.pub'), `sk-ssh-ed25519@openssh.com ${blob.toString('base64')}\n`)
    const certificate = decodeSshCertificate(blobOf(forge.certify('ed25519', 'sk', '-I', 'x', '-n', 'alice')))
    expect(Buffer.from(certificate.key.blob)).toEqual(blob)
    expect(isSignedByAuthority(certificate)).toBe(true)
  })
})
