import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { certificateOption, SallyportError, sshPublicKeyOf, type SshCertificateFields } from '../../core/index.js'
import { KeyForge } from '../../core/ssh/ssh.test-support.js'
import { authorizedKeys } from './authorized-keys.js'
import { judgePublicKey, sshTrust, type SshKeyAttempt, type SshTrustOptions } from './public-key.js'
import { sshRevocations } from './revocations.js'
import { certificateFor, NOW_UNIX_MS, query, SESSION_ID, signed } from './ssh.test-support.js'

const ed25519 = (): KeyObject => generateKeyPairSync('ed25519').privateKey
const line = (key: KeyObject): string => {
  const { type, blob } = sshPublicKeyOf(key)
  return `${type} ${Buffer.from(blob).toString('base64')}`
}

const alice = ed25519()
const authority = ed25519()
const kinds: [string, KeyObject][] = [
  ['ed25519', alice],
  ['p256', generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey],
  ['p384', generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey],
  ['p521', generateKeyPairSync('ec', { namedCurve: 'P-521' }).privateKey],
  ['rsa', generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey],
]
const trustIn = (keys: string, more: SshTrustOptions = {}) =>
  sshTrust({ authorizedKeys: authorizedKeys([{ subject: { id: 'alice' }, keys }]), ...more })
const everybody = trustIn(kinds.map(([, key]) => line(key)).join('\n'))
const certified = sshTrust({ authorities: [{ key: line(authority) }] })

const judge = (attempt: SshKeyAttempt, trust = everybody, now = NOW_UNIX_MS): string => {
  const verdict = judgePublicKey(attempt, trust, now)
  return verdict.outcome === 'refused' ? verdict.reason : verdict.outcome
}
const judgeCertificate = (fields: Partial<SshCertificateFields>, from?: string, now?: number): string =>
  judge(
    signed(alice, {
      blob: certificateFor(alice, authority, fields),
      ...(from === undefined ? {} : { clientAddress: from }),
    }),
    certified,
    now,
  )

describe('a publickey request', () => {
  it('proves who holds the key, of every kind', () => {
    for (const [, key] of kinds) {
      expect(judge(query(key))).toBe('acceptable')
      const verdict = judgePublicKey(signed(key), everybody, NOW_UNIX_MS)
      expect(verdict).toMatchObject({ outcome: 'proved', subject: { id: 'alice' } })
    }
    const rsa = kinds[4]?.[1] as KeyObject
    expect(judge(signed(rsa, { signatureAlgorithm: 'rsa-sha2-256' }))).toBe('proved')
  })

  it('SSH-5 without a signature never proves anything, whatever came before', () => {
    for (const [, key] of kinds) {
      expect(judge(signed(key))).toBe('proved')
      expect(judge(query(key))).toBe('acceptable')
    }
    const blob = certificateFor(alice, authority)
    expect(judge(query(alice, { blob }), certified)).toBe('acceptable')
  })

  it('SSH-5 is bound to its session, user name, service, algorithm and key', () => {
    const good = signed(alice)
    expect(judge({ ...good, user: 'alice+web-2' })).toBe('signature')
    expect(judge({ ...good, user: 'alice' })).toBe('signature')
    expect(judge({ ...good, service: 'ssh-userauth' })).toBe('service')
    const proof = good.proof as NonNullable<SshKeyAttempt['proof']>
    expect(judge({ ...good, proof: { ...proof, sessionId: Buffer.alloc(32, 6) } })).toBe('signature')
    const other = ed25519()
    const both = trustIn(`${line(alice)}\n${line(other)}`)
    expect(judge({ ...good, key: sshPublicKeyOf(other).blob }, both)).toBe('signature')
    expect(judge({ ...signed(other), proof }, both)).toBe('signature')
    const rsa = kinds[4]?.[1] as KeyObject
    const sha512 = signed(rsa)
    expect(judge({ ...sha512, algorithm: 'rsa-sha2-256' })).toBe('signature')
    expect(judge({ ...sha512, algorithm: 'ssh-rsa' })).toBe('algorithm')
    expect(judge({ ...sha512, algorithm: 'ssh-ed25519' })).toBe('algorithm')
    expect(judge(signed(alice, { service: 'ssh-userauth' }))).toBe('service')
  })

  it('is refused with any changed byte of its signature', () => {
    const good = signed(alice)
    const signature = good.proof?.signature ?? new Uint8Array(0)
    fc.assert(
      fc.property(fc.nat(signature.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Buffer.from(signature)
        changed[at] = (changed[at] ?? 0) ^ flip
        expect(judge({ ...good, proof: { sessionId: SESSION_ID, signature: changed } })).toBe('signature')
      }),
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ maxLength: 200 }), (key, bytes) => {
        expect(judge({ ...good, proof: { sessionId: SESSION_ID, signature: bytes } })).toBe('signature')
        expect(judge({ ...good, key })).toBe('malformed-key')
      }),
    )
  })

  it('with a key of nobody, of another user, or of a kind that is not accepted is refused', () => {
    expect(judge(signed(ed25519()))).toBe('unknown-key')
    expect(judge(signed(alice, { user: 'bob+web-1' }))).toBe('unknown-key')
    expect(judge(signed(alice, { user: 'alice+web-1+web-2' }))).toBe('name')
    expect(judge(query(alice, { algorithm: 'ssh-dss' }))).toBe('algorithm')
    expect(judge(query(alice, { algorithm: '' }))).toBe('algorithm')
  })

  it('keeps to the options of its key', () => {
    const now = NOW_UNIX_MS
    const at = new Date(now)
      .toISOString()
      .replaceAll(/[-:]|\.\d+/g, '')
      .replace('T', '')
    const later = new Date(now + 1_000)
      .toISOString()
      .replaceAll(/[-:]|\.\d+/g, '')
      .replace('T', '')
    expect(judge(signed(alice), trustIn(`expiry-time="${later}" ${line(alice)}`))).toBe('proved')
    expect(judge(signed(alice), trustIn(`expiry-time="${at}" ${line(alice)}`))).toBe('expired')
    const office = trustIn(`from="10.0.0.0/8,!10.9.0.0/16,2001:db8::/32,192.168.?.*" ${line(alice)}`)
    const from = (clientAddress: string): string => judge(signed(alice, { clientAddress }), office)
    expect(judge(signed(alice), office)).toBe('source-address')
    for (const good of ['10.1.2.3', '::ffff:10.1.2.3', '2001:db8::7', '192.168.7.200'])
      expect(from(good)).toBe('proved')
    for (const bad of ['10.9.0.1', '11.0.0.1', '2001:db9::7', '192.168.77.1', 'x', '']) {
      expect(from(bad)).toBe('source-address')
    }
    // The first line whose limits are kept.
    const two = trustIn(`from="10.0.0.0/8" ${line(alice)}\nrestrict ${line(alice)}`)
    const verdict = judgePublicKey(signed(alice, { clientAddress: '11.0.0.1' }), two, now)
    expect(verdict).toMatchObject({ outcome: 'proved', facts: { permissions: { allowsPty: false } } })
  })

  it('is refused when its key was revoked', () => {
    const revoked = trustIn(line(alice), { revocations: [sshRevocations({ keys: [line(alice)] })] })
    expect(judge(signed(alice), revoked)).toBe('revoked')
    expect(judge(query(alice), revoked)).toBe('revoked')
  })
})

describe('a certificate', () => {
  it('lets in who it names, of every kind, with what it permits', () => {
    for (const [, key] of kinds) {
      for (const [, signer] of kinds) {
        const trust = sshTrust({ authorities: [{ key: line(signer) }] })
        const blob = certificateFor(key, signer, { extensions: [certificateOption('permit-pty')] })
        const verdict = judgePublicKey(signed(key, { blob }), trust, NOW_UNIX_MS)
        expect(verdict).toMatchObject({
          outcome: 'proved',
          subject: { id: 'alice' },
          facts: {
            certificate: { serial: '7', keyId: 'alice at work', principals: ['alice'] },
            permissions: { allowsPty: true, allowsPortForwarding: false, allowsAgentForwarding: false },
            expiresAtUnixMs: NOW_UNIX_MS + 60_000,
          },
        })
      }
    }
  })

  it('SSH-5 without principals lets nobody in, and no other name than its own', () => {
    expect(judgeCertificate({ principals: [] })).toBe('principals')
    expect(judgeCertificate({ principals: ['bob', 'Alice', 'alice+web-1'] })).toBe('principals')
    expect(judgeCertificate({ principals: ['bob', 'alice'] })).toBe('proved')
  })

  it('is good from its first second to before its last, without slack', () => {
    const seconds = BigInt(NOW_UNIX_MS / 1_000)
    expect(judgeCertificate({ validAfterUnixSeconds: seconds })).toBe('proved')
    expect(judgeCertificate({ validAfterUnixSeconds: seconds + 1n })).toBe('not-yet-valid')
    expect(judgeCertificate({ validBeforeUnixSeconds: seconds + 1n })).toBe('proved')
    expect(judgeCertificate({ validBeforeUnixSeconds: seconds })).toBe('expired')
    expect(judgeCertificate({ validAfterUnixSeconds: 0n, validBeforeUnixSeconds: 2n ** 64n - 1n })).toBe('proved')
    expect(judgeCertificate({}, undefined, NOW_UNIX_MS + 60_000)).toBe('expired')
  })

  it('of a host, of an authority nobody trusts, or of one that only claims to be trusted is refused', () => {
    expect(judgeCertificate({ kind: 'host' })).toBe('certificate-kind')
    const stranger = ed25519()
    expect(judge(signed(alice, { blob: certificateFor(alice, stranger) }), certified)).toBe('authority')
    const forged = Buffer.from(certificateFor(alice, authority))
    forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1
    expect(judge(signed(alice, { blob: forged }), certified)).toBe('authority')
    // The key in it has to sign, not the authority.
    const blob = certificateFor(alice, authority)
    expect(judge({ ...query(alice, { blob }), proof: signed(authority, { blob }).proof as never }, certified)).toBe(
      'signature',
    )
    // Its key alone proves nothing of it.
    expect(judge(signed(alice), certified)).toBe('unknown-key')
    expect(judge(signed(alice, { blob }), everybody)).toBe('authority')
  })

  it('SSH-5 is never an authority itself', () => {
    const blob = certificateFor(alice, authority)
    const text = `ssh-ed25519-cert-v01@openssh.com ${Buffer.from(blob).toString('base64')}`
    expect(() => sshTrust({ authorities: [{ key: text }] })).toThrow(SallyportError)
    expect(() => authorizedKeys([{ subject: { id: 'alice' }, keys: text }])).toThrow(SallyportError)
  })

  it('keeps to its critical options, and is refused for any that is not understood', () => {
    const option = certificateOption
    const source = (list: string, from?: string): string =>
      judgeCertificate({ criticalOptions: [option('source-address', list)] }, from)
    expect(source('10.0.0.0/8,2001:db8::/32', '10.1.2.3')).toBe('proved')
    expect(source('10.0.0.0/8,2001:db8::/32', '2001:db8::1')).toBe('proved')
    expect(source('10.0.0.0/8', '::ffff:10.1.2.3')).toBe('proved')
    expect(source('10.0.0.0/8', '11.1.2.3')).toBe('source-address')
    expect(source('10.0.0.0/8')).toBe('source-address')
    for (const wrong of [
      '',
      '10.0.0.1/8',
      '10.0.0.0/33',
      '!10.0.0.0/8',
      '10.*',
      'host',
      '10.0.0.0/8,',
      '010.0.0.0/8',
    ]) {
      expect(source(wrong, '10.1.2.3')).toBe('critical-option')
    }
    const blob = certificateFor(alice, authority, { criticalOptions: [option('force-command', 'ls -l')] })
    expect(judgePublicKey(signed(alice, { blob }), certified, NOW_UNIX_MS)).toMatchObject({
      facts: { permissions: { forcedCommand: 'ls -l' } },
    })
    for (const unknown of [
      option('permit-pty'),
      option('x@example.com', 'y'),
      option('force-command'),
      option('source-address'),
    ]) {
      expect(judgeCertificate({ criticalOptions: [unknown] }, '10.0.0.1')).toBe('critical-option')
    }
    // A PIN that a key in a file cannot ask for.
    expect(judgeCertificate({ criticalOptions: [option('verify-required')] })).toBe('user-presence')
    expect(judgeCertificate({ extensions: [option('anything@example.com', 'x')] })).toBe('proved')
  })

  it('is revoked by serial, range, key id, its key and its authority', () => {
    const blob = certificateFor(alice, authority)
    const lists = [
      { certificates: [{ serials: [7n] }] },
      { certificates: [{ authority: line(authority), serials: [[1n, 9n] as const] }] },
      { certificates: [{ keyIds: ['alice at work'] }] },
      { keys: [line(alice)] },
      { keys: [sshPublicKeyOf(authority).blob] },
    ]
    for (const list of lists) {
      const trust = sshTrust({ authorities: [{ key: line(authority) }], revocations: [sshRevocations(list)] })
      expect(judge(signed(alice, { blob }), trust)).toBe('revoked')
    }
    const others = sshRevocations({
      certificates: [
        { authority: line(alice), serials: [7n] },
        { serials: [6n, [8n, 9n]], keyIds: ['alice'] },
      ],
    })
    const trust = sshTrust({ authorities: [{ key: line(authority) }], revocations: [others] })
    expect(judge(signed(alice, { blob }), trust)).toBe('proved')
  })

  it('names its subject as the authority says', () => {
    const trust = sshTrust({
      authorities: [
        {
          key: line(authority),
          subject: ({ keyId }, user) =>
            keyId === 'alice at work' ? { id: `${user}@example.com`, groups: ['ops'] } : undefined,
        },
      ],
    })
    const good = signed(alice, { blob: certificateFor(alice, authority) })
    expect(judgePublicKey(good, trust, NOW_UNIX_MS)).toMatchObject({ subject: { id: 'alice@example.com' } })
    const other = signed(alice, { blob: certificateFor(alice, authority, { keyId: 'other' }) })
    expect(judge(other, trust)).toBe('unknown-key')
  })
})

describe('certificates of the real ssh-keygen', () => {
  const forge = new KeyForge()
  afterAll(() => forge.remove())

  it('are judged as they say', () => {
    forge.key('ca', 'ed25519')
    forge.key('other-ca', 'ecdsa')
    forge.key('id', 'ed25519')
    const trust = sshTrust({ authorities: [{ key: forge.read('ca.pub') }] })
    const verdict = (by: string, ...options: string[]): string => {
      const text = forge.certify(by, 'id', '-I', 'id', ...options)
      const blob = Buffer.from(text.split(' ')[1] ?? '', 'base64')
      const attempt = { user: 'alice', service: 'ssh-connection', algorithm: text.split(' ')[0] ?? '', key: blob }
      return judge({ ...attempt, clientAddress: '10.0.0.1' }, trust, Date.now())
    }
    expect(verdict('ca', '-n', 'alice', '-V', '-1m:+1m')).toBe('acceptable')
    expect(verdict('ca', '-n', 'alice,bob')).toBe('acceptable')
    expect(verdict('ca', '-n', 'alice', '-O', 'clear', '-O', 'source-address=10.0.0.0/24')).toBe('acceptable')
    expect(verdict('ca', '-n', 'alice', '-O', 'source-address=10.0.1.0/24')).toBe('source-address')
    expect(verdict('ca', '-n', 'alice', '-O', 'critical:x@example.com=y')).toBe('critical-option')
    expect(verdict('ca', '-n', 'bob')).toBe('principals')
    expect(verdict('ca')).toBe('principals')
    expect(verdict('ca', '-n', 'alice', '-h')).toBe('certificate-kind')
    expect(verdict('ca', '-n', 'alice', '-V', '-2m:-1m')).toBe('expired')
    expect(verdict('ca', '-n', 'alice', '-V', '+1m:+2m')).toBe('not-yet-valid')
    expect(verdict('other-ca', '-n', 'alice')).toBe('authority')
  })
})
