import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  decodeSshCertificate,
  isSignedByAuthority,
  readSshKeyLine,
  SallyportError,
  Secret,
  sshFingerprint,
  sshPublicKeyOf,
  SshReader,
  SshWriter,
} from '../../core/index.js'
import { KeyForge } from '../../core/ssh/ssh.test-support.js'
import {
  certificateLogin,
  ed25519KeyFrom,
  hostKeyError,
  issuedSshCertificates,
  issueUserCertificate,
  knownHosts,
  mendCertificateRequest,
  pinnedHostKeys,
  readSshPrivateKey,
  staticSshCredentials,
  writeOpenSshKey,
  type HostKeys,
} from './index.js'

const forge = new KeyForge()
const KINDS: [string, string, number | undefined][] = [
  ['ed25519', 'ed25519', undefined],
  ['p256', 'ecdsa', 256],
  ['p384', 'ecdsa', 384],
  ['p521', 'ecdsa', 521],
  ['rsa', 'rsa', 2048],
]
beforeAll(() => {
  for (const [name, type, bits] of KINDS) forge.key(name, type, bits)
})
afterAll(() => forge.remove())

const codeOf = (run: () => unknown): string | undefined => {
  try {
    run()
    return undefined
  } catch (error) {
    if (error instanceof SallyportError) return error.code
    throw error
  }
}
const blobOf = (line: string): Uint8Array => readSshKeyLine(line).blob
const verdict = (keys: HostKeys, host: string, name: string, port = 22): string => {
  const judged = keys.judge({ host, port, key: blobOf(forge.read(`${name}.pub`)) })
  return judged.isTrusted ? 'trusted' : judged.reason
}

describe('known hosts', () => {
  const line = (names: string, name: string): string => `${names} ${forge.read(`${name}.pub`)}`

  it('are found by name, wildcard, address and port, and only there', () => {
    const keys = knownHosts(
      [
        '# a comment',
        line('web-1,10.0.0.1', 'ed25519'),
        line('*.example.com,!bad.example.com', 'p256'),
        line('[web-2]:2222,[::1]:2200', 'p384'),
        line('db-?', 'rsa'),
      ].join('\n'),
    )
    expect(verdict(keys, 'web-1', 'ed25519')).toBe('trusted')
    expect(verdict(keys, 'WEB-1', 'ed25519')).toBe('trusted')
    expect(verdict(keys, '10.0.0.1', 'ed25519')).toBe('trusted')
    expect(verdict(keys, 'a.example.com', 'p256')).toBe('trusted')
    expect(verdict(keys, 'web-2', 'p384', 2222)).toBe('trusted')
    expect(verdict(keys, '::1', 'p384', 2200)).toBe('trusted')
    expect(verdict(keys, 'db-7', 'rsa')).toBe('trusted')
    for (const host of [
      'web-10',
      'xweb-1',
      'example.com',
      'bad.example.com',
      'web-2',
      'db-77',
      'db-',
      '10.0.0.10',
      '',
    ]) {
      expect(verdict(keys, host, 'p521')).toBe('unknown')
    }
    // A key is known of a host on one port only.
    expect(verdict(keys, 'web-1', 'ed25519', 2222)).toBe('unknown')
    expect(verdict(keys, 'web-2', 'p384')).toBe('unknown')
  })

  it('hashed by the real ssh-keygen are found', () => {
    writeFileSync(forge.path('hosts'), `${line('web-1', 'ed25519')}\n${line('[web-2]:2222', 'p256')}\n`)
    forge.keygen('-H', '-f', 'hosts')
    const text = forge.read('hosts')
    expect(text).not.toContain('web')
    expect(verdict(knownHosts(text), 'web-1', 'ed25519')).toBe('trusted')
    expect(verdict(knownHosts(text), 'web-2', 'p256', 2222)).toBe('trusted')
    expect(verdict(knownHosts(text), 'web-1', 'p256')).toBe('changed')
    expect(verdict(knownHosts(text), 'web-3', 'ed25519')).toBe('unknown')
  })

  it('CRED-1 tell a changed key, a revoked one, and one of which nothing is known', () => {
    const keys = knownHosts(
      [
        line('web-1', 'ed25519'),
        line('@revoked *', 'p256'),
        line('web-2', 'p256'),
        line('@cert-authority *.example.com', 'rsa'),
      ].join('\n'),
    )
    expect(verdict(keys, 'web-1', 'p384')).toBe('changed')
    expect(verdict(keys, 'web-2', 'p256')).toBe('revoked')
    expect(verdict(keys, 'a.example.com', 'rsa')).toBe('unknown')
    const judged = keys.judge({ host: 'a.example.com', port: 22, key: blobOf(forge.read('rsa.pub')) })
    if (judged.isTrusted) throw new Error('trusted')
    expect(hostKeyError(judged)).toMatchObject({ code: 'upstream_host_key_refused', blame: 'upstream' })
    expect(judged.message).toMatch(
      /^host key SHA256:\S+ of `a\.example\.com` port 22 is not known: only its certificate authority/,
    )
  })

  it('do not trust a key that is weak or malformed, though it is known', () => {
    forge.key('weak', 'rsa', 1024)
    expect(verdict(knownHosts(line('web-1', 'weak')), 'web-1', 'weak')).toBe('weak')
    expect(
      pinnedHostKeys([forge.read('ed25519.pub')]).judge({ host: 'x', port: 22, key: Buffer.alloc(3) }),
    ).toMatchObject({
      isTrusted: false,
    })
  })

  it('offer the algorithms of the keys that are known', () => {
    const keys = knownHosts([line('web-1', 'rsa'), line('web-2', 'p256'), line('web-2', 'ed25519')].join('\n'))
    expect(keys.algorithms('web-1', 22)).toEqual(['rsa-sha2-512', 'rsa-sha2-256'])
    expect(keys.algorithms('web-2', 22)).toEqual(['ssh-ed25519', 'ecdsa-sha2-nistp256'])
    expect(keys.algorithms('web-3', 22)).toContain('ssh-ed25519')
    expect(keys.algorithms('web-3', 22)).not.toContain('ssh-rsa')
  })

  it('that cannot be read are refused, by line', () => {
    const good = forge.read('ed25519.pub')
    const wrong = [
      'web-1',
      'web-1 ssh-ed25519',
      'web-1 ssh-ed25519 AAAA',
      `@unknown x ${good}`,
      `|1|AAAA|BBBB ${good}`,
      `|2|x|y ${good}`,
      `a,,b ${good}`,
      `web-1 1024 35 1234567`,
      `! ${good}`,
    ]
    for (const each of wrong) {
      expect(codeOf(() => knownHosts(`x ${good}\n${each}`))).toBe('invalid_option')
      expect(() => knownHosts(`x ${good}\n${each}`)).toThrow(/^line 2 of the known hosts: /)
    }
  })

  it('match names as a regular expression would', () => {
    const unit = fc.constantFrom(...'ab.*?')
    const key = forge.read('ed25519.pub')
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'ab.'), maxLength: 8 }),
        fc.string({ unit, minLength: 1, maxLength: 7 }),
        (host, pattern) => {
          const source = pattern.replaceAll('.', '\\.').replaceAll('*', '.*').replaceAll('?', '.')
          const expected = new RegExp(`^${source}$`).test(host) ? 'trusted' : 'unknown'
          expect(verdict(knownHosts(`${pattern} ${key}`), host, 'ed25519')).toBe(expected)
        },
      ),
    )
  })
})

describe('pinned host keys', () => {
  it('are trusted by key or fingerprint, and nothing else is', () => {
    const pinned = pinnedHostKeys([forge.read('ed25519.pub'), sshFingerprint(blobOf(forge.read('rsa.pub')))])
    expect(verdict(pinned, 'anything', 'ed25519')).toBe('trusted')
    expect(verdict(pinned, 'anything', 'rsa')).toBe('trusted')
    expect(verdict(pinned, 'anything', 'p256')).toBe('changed')
    expect(pinnedHostKeys([forge.read('p384.pub')]).algorithms('x', 22)).toEqual(['ecdsa-sha2-nistp384'])
    expect(pinned.algorithms('x', 22).length).toBeGreaterThan(3)
    for (const wrong of [[], ['SHA256:short'], ['MD5:00']])
      expect(codeOf(() => pinnedHostKeys(wrong))).toBe('invalid_option')
  })
})

describe('private keys', () => {
  const read = (text: string, passphrase?: string) =>
    readSshPrivateKey({
      privateKey: new Secret(text),
      ...(passphrase === undefined ? {} : { passphrase: new Secret(passphrase) }),
    })

  it('are read in the forms that ssh-keygen writes', () => {
    for (const [name, type, bits] of KINDS) {
      const blob = blobOf(forge.read(`${name}.pub`))
      expect(Buffer.from(sshPublicKeyOf(read(forge.read(name))).blob)).toEqual(blob)
      if (type === 'ed25519') continue
      const pem = `${name}-pem`
      forge.keygen('-q', '-t', type, '-b', String(bits), '-m', 'PKCS8', '-N', 'a phrase', '-f', pem)
      const key = read(forge.read(pem), 'a phrase')
      expect(Buffer.from(sshPublicKeyOf(key).blob)).toEqual(blobOf(forge.read(`${pem}.pub`)))
      expect(codeOf(() => read(forge.read(pem), 'wrong'))).toBe('invalid_option')
      expect(codeOf(() => read(forge.read(pem)))).toBe('invalid_option')
    }
  })

  it('encrypted in a form of their own are refused with what to do', () => {
    forge.key('locked', 'ed25519', undefined, 'a phrase')
    expect(() => read(forge.read('locked'), 'a phrase')).toThrow(/ssh-keygen -p -m PKCS8/)
  })

  it('CRED-3 do not show in what is thrown, whatever garbage they are', () => {
    const text = forge.read('p256')
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.constantFrom(...'Aa0+/=\n'), (at, character) => {
        try {
          read(text.slice(0, at) + character + text.slice(at + 1))
        } catch (error) {
          expect(error).toBeInstanceOf(SallyportError)
          expect(inspect(error)).not.toContain(text.slice(100, 140))
        }
      }),
      { numRuns: 200 },
    )
    expect(inspect(writeOpenSshKey(ed25519KeyFrom(Buffer.alloc(32, 1))))).toBe('[secret]')
  })

  it('are written so that ssh-keygen reads them', () => {
    const key = ed25519KeyFrom(randomBytes(32))
    forge.script('written', writeOpenSshKey(key).expose())
    const { type, blob } = sshPublicKeyOf(key)
    expect(forge.keygen('-y', '-f', 'written').trim()).toBe(`${type} ${Buffer.from(blob).toString('base64')}`)
    expect(read(forge.read('written')).equals(key)).toBe(true)
  })
})

describe('issued certificates', () => {
  const authority = () => readSshPrivateKey({ privateKey: new Secret(forge.read('p256')) })
  const key = sshPublicKeyOf(generateKeyPairSync('ed25519').publicKey)
  const options = {
    key,
    principals: ['deploy'],
    keyId: 'alice via gateway',
    validAfterUnixMs: Date.UTC(2026, 0, 1),
    validBeforeUnixMs: Date.UTC(2026, 0, 2),
    nonce: Buffer.alloc(32, 3),
  }

  it('are what ssh-keygen says they are', () => {
    const issued = issueUserCertificate(authority(), {
      ...options,
      serial: 99n,
      forcedCommand: 'uptime',
      sourceAddresses: ['10.0.0.0/8', '::1/128'],
    })
    writeFileSync(forge.path('issued-cert.pub'), `${issued.line}\n`)
    const listed = forge.keygen('-L', '-f', 'issued-cert.pub')
    for (const part of [
      'ssh-ed25519-cert-v01@openssh.com user certificate',
      'Key ID: "alice via gateway"',
      'Serial: 99',
      'deploy',
      'force-command uptime',
      'source-address 10.0.0.0/8,::1/128',
      'permit-port-forwarding',
      'permit-pty',
    ]) {
      expect(listed).toContain(part)
    }
    expect(listed).not.toContain('permit-agent-forwarding')
    expect(isSignedByAuthority(decodeSshCertificate(issued.blob))).toBe(true)
  })

  it('are never good for everybody, or for no time', () => {
    expect(codeOf(() => issueUserCertificate(authority(), { ...options, principals: [] }))).toBe('invalid_option')
    expect(codeOf(() => issueUserCertificate(authority(), { ...options, principals: ['a', ''] }))).toBe(
      'invalid_option',
    )
    const { validAfterUnixMs } = options
    expect(codeOf(() => issueUserCertificate(authority(), { ...options, validBeforeUnixMs: validAfterUnixMs }))).toBe(
      'invalid_option',
    )
    expect(codeOf(() => issueUserCertificate(authority(), { ...options, validAfterUnixMs: Number.NaN }))).toBe(
      'invalid_option',
    )
    expect(codeOf(() => issueUserCertificate(authority(), { ...options, nonce: Buffer.alloc(8) }))).toBe(
      'invalid_option',
    )
  })

  it('are made anew for every session, in its name', async () => {
    const now = Date.UTC(2026, 5, 1)
    const provider = issuedSshCertificates({
      authority: { privateKey: new Secret(forge.read('ed25519')) },
      user: ({ subject }) => (subject.id === 'alice' ? 'deploy' : undefined),
      random: (count) => randomBytes(count),
      clock: { nowUnixMs: () => now },
    })
    const request = { subject: { id: 'alice' }, resource: { name: 'web-1', protocol: 'ssh' } }
    const { credentials } = await provider.lease(request)
    const second = (await provider.lease(request)).credentials
    if (credentials.method !== 'certificate' || second.method !== 'certificate') throw new Error('no certificate')
    const certificate = decodeSshCertificate(credentials.certificate)
    expect(certificate).toMatchObject({ principals: ['deploy'], keyId: 'sallyport alice on web-1', kind: 'user' })
    expect(Number(certificate.validBeforeUnixSeconds) * 1_000).toBe(now + 120_000)
    expect(Buffer.from(second.certificate)).not.toEqual(Buffer.from(credentials.certificate))
    const held = readSshPrivateKey({ privateKey: credentials.privateKey })
    expect(sshPublicKeyOf(held).blob).toEqual(certificate.key.blob)
    expect(inspect(credentials, { depth: 9 }) + JSON.stringify(credentials.privateKey)).not.toContain('PRIVATE KEY')
    expect(codeOf(() => provider.lease({ ...request, subject: { id: 'bob' } }))).toBe('upstream_authentication_failed')
  })

  it('credentials are found by resource, and only there', () => {
    const provider = staticSshCredentials({ 'web-1': { method: 'password', user: 'x', password: new Secret('p') } })
    const request = (name: string) => ({ subject: { id: 'a' }, resource: { name, protocol: 'ssh' } })
    expect(provider.lease(request('web-1'))).toMatchObject({ credentials: { user: 'x' } })
    expect(codeOf(() => provider.lease(request('toString')))).toBe('upstream_authentication_failed')
  })
})

describe('a request with a certificate', () => {
  it('says the algorithm of its signature, and every other message stays as it is', () => {
    for (const [name] of KINDS) {
      const text = forge.certify('ed25519', name, '-I', 'x', '-n', 'deploy')
      const login = certificateLogin(blobOf(text))
      const request = (algorithm: string, signature: string): Buffer =>
        new SshWriter()
          .u8(50)
          .text('deploy')
          .text('ssh-connection')
          .text('publickey')
          .boolean(true)
          .text(algorithm)
          .string(login.blob)
          .string(new SshWriter().text(signature).text('bytes').view())
          .take()
      const mended = mendCertificateRequest(request(login.algorithm, login.algorithm)) ?? Buffer.alloc(0)
      const reader = new SshReader(mended, { message: 'request', code: 'internal' })
      reader.bytes(1)
      const fields = [reader.text(), reader.text(), reader.text(), reader.boolean(), reader.text()]
      expect(fields).toEqual(['deploy', 'ssh-connection', 'publickey', true, login.algorithm])
      expect(reader.string()).toEqual(login.blob)
      expect(reader.string()).toEqual(new SshWriter().text(login.signatureAlgorithm).text('bytes').take())
      expect(mendCertificateRequest(request(login.signatureAlgorithm, login.signatureAlgorithm))).toBeUndefined()
    }
    const query = new SshWriter().u8(50).text('a').text('b').text('publickey').boolean(false).take()
    for (const other of [query, Buffer.of(94, 1, 2), Buffer.alloc(0)])
      expect(mendCertificateRequest(other)).toBeUndefined()
    forge.certify('ed25519', 'p256', '-h', '-I', 'x', '-n', 'host')
    expect(codeOf(() => certificateLogin(blobOf(forge.read('p256-cert.pub'))))).toBe('invalid_option')
  })
})
