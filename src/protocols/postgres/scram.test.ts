import { execFileSync } from 'node:child_process'
import { createHash, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SallyportError, Secret } from '../../core/index.js'
import { tlsServerEndPoint } from './channel-binding.js'
import { preparePassword } from './saslprep.js'
import {
  canBindChannel,
  formatScramSecret,
  makeScramVerifier,
  mockVerifier,
  parseScramSecret,
  ScramClient,
  type ScramClientOptions,
  ScramServer,
} from './scram.js'

const PLAIN = 'SCRAM-SHA-256'
const PLUS = 'SCRAM-SHA-256-PLUS'

/** Random bytes whose base64 is a readable nonce. */
const CLIENT = Buffer.from('clientnonce+', 'base64')
const SERVER = Buffer.from('servernonce+', 'base64')

function client(options: Partial<ScramClientOptions> = {}): ScramClient {
  return new ScramClient({ password: new Secret('pencil'), random: () => CLIENT, mechanism: PLAIN, ...options })
}

function codeOf(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    if (error instanceof SallyportError) return error.code
    throw error
  }
  return 'nothing was thrown'
}

/** A self-signed certificate with the given key and signature options, in DER. */
function certificate(...options: readonly string[]): Uint8Array {
  const directory = mkdtempSync(join(tmpdir(), 'scram-'))
  try {
    const file = join(directory, 'certificate')
    const common = ['req', '-x509', '-nodes', '-subj', '/CN=test', '-days', '1', '-keyout', join(directory, 'key')]
    execFileSync('openssl', [...common, '-out', file, ...options], { stdio: 'ignore' })
    return new X509Certificate(readFileSync(file)).raw
  } finally {
    rmSync(directory, { recursive: true })
  }
}

describe('SCRAM client', () => {
  it('speaks the example of RFC 7677', () => {
    const scram = client({ user: 'user', random: () => Buffer.from('rOprNGfwEbeRWgbNEkqO', 'base64') })
    expect(scram.first()).toEqual({ mechanism: PLAIN, data: Buffer.from('n,,n=user,r=rOprNGfwEbeRWgbNEkqO') })
    const answer = scram.continue(
      Buffer.from('r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096'),
    )
    expect(answer.toString()).toBe(
      'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
    )
    expect(scram.isComplete).toBe(false)
    scram.final(Buffer.from('v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4='))
    expect(scram.isComplete).toBe(true)
  })

  it('PG-17 refuses an absurd iteration count before computing anything', () => {
    const scram = client()
    scram.first()
    const startedAt = process.hrtime.bigint()
    expect(codeOf(() => scram.continue(Buffer.from('r=clientnonce+X,s=AAAA,i=2147483647')))).toBe(
      'upstream_authentication_failed',
    )
    expect(Number(process.hrtime.bigint() - startedAt)).toBeLessThan(100_000_000)
  })

  it('PG-17 refuses a server nonce that does not extend its own', () => {
    for (const nonce of ['other', 'clientnonce+', 'xclientnonce+X']) {
      const scram = client()
      scram.first()
      const answer = Buffer.from(`r=${nonce},s=AAAA,i=4096`)
      expect(codeOf(() => scram.continue(answer))).toBe('upstream_authentication_failed')
    }
  })

  it('PG-17 refuses a server that does not know the password', () => {
    const scram = client()
    scram.first()
    scram.continue(Buffer.from('r=clientnonce+X,s=AAAA,i=1'))
    const lie = Buffer.from(`v=${Buffer.alloc(32).toString('base64')}`)
    expect(codeOf(() => scram.final(lie))).toBe('upstream_authentication_failed')
  })

  it('PG-17 does not let a server skip or repeat a step', () => {
    const skipping = client()
    skipping.first()
    expect(codeOf(() => skipping.final(Buffer.from('v=')))).toBe('upstream_protocol_violation')
    const repeating = client()
    repeating.first()
    repeating.continue(Buffer.from('r=clientnonce+X,s=AAAA,i=1'))
    expect(codeOf(() => repeating.continue(Buffer.from('r=clientnonce+X,s=AAAA,i=1')))).toBe(
      'upstream_protocol_violation',
    )
  })

  it('PG-17 binds to the channel when offered and says `y` when it could have been', () => {
    const peerCertificate = certificate('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-sha384')
    const bound = client({ mechanism: PLUS, offered: [PLUS, PLAIN], peerCertificate })
    expect(bound.first()).toEqual({
      mechanism: PLUS,
      data: Buffer.from('p=tls-server-end-point,,n=,r=clientnonce+'),
    })
    const expected = Buffer.concat([
      Buffer.from('p=tls-server-end-point,,'),
      createHash('sha384').update(peerCertificate).digest(),
    ])
    expect(bound.continue(Buffer.from('r=clientnonce+X,s=AAAA,i=1')).toString()).toContain(
      `c=${expected.toString('base64')},`,
    )
    expect(client({ peerCertificate }).first().data.toString()).toMatch(/^y,,/)
    expect(
      client({ peerCertificate, offered: [PLUS, PLAIN] })
        .first()
        .data.toString(),
    ).toMatch(/^n,,/)
    expect(client().first().data.toString()).toMatch(/^n,,/)
  })

  it('PG-17 does not pretend to bind to a channel it cannot bind to', () => {
    expect(codeOf(() => client({ mechanism: PLUS }))).toBe('upstream_authentication_failed')
    const peerCertificate = certificate('-newkey', 'ed25519')
    expect(canBindChannel(peerCertificate)).toBe(false)
    expect(codeOf(() => client({ mechanism: PLUS, peerCertificate }))).toBe('upstream_authentication_failed')
  })

  it('takes any server message or throws a SallyportError, nothing else', () => {
    const message = fc.oneof(
      fc.uint8Array(),
      fc.string().map((text) => Buffer.from(`r=clientnonce+${text}`)),
    )
    fc.assert(
      fc.property(message, message, (one, two) => {
        const scram = client({ maxIterations: 100 })
        scram.first()
        for (const step of [() => scram.continue(one), () => scram.final(two)]) {
          try {
            step()
          } catch (error) {
            expect(error).toBeInstanceOf(SallyportError)
          }
        }
      }),
    )
  })
})

describe('tls-server-end-point', () => {
  it('hashes with the hash function of the signature, and with SHA-256 instead of SHA-1', () => {
    const cases: readonly (readonly [string, readonly string[]])[] = [
      ['sha256', ['-newkey', 'rsa:2048', '-sha1']],
      ['sha256', ['-newkey', 'rsa:2048', '-sha256']],
      ['sha512', ['-newkey', 'rsa:2048', '-sha512']],
      ['sha384', ['-newkey', 'rsa:2048', '-sha384', '-sigopt', 'rsa_padding_mode:pss']],
      ['sha256', ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-sha256']],
    ]
    for (const [hash, options] of cases) {
      const der = certificate(...options)
      expect(tlsServerEndPoint(der), options.join(' ')).toEqual(createHash(hash).update(der).digest())
    }
  })

  it('is undefined for Ed25519, which has no hash function of its own, and for what is no certificate', () => {
    expect(tlsServerEndPoint(certificate('-newkey', 'ed25519'))).toBeUndefined()
    expect(tlsServerEndPoint(new Uint8Array())).toBeUndefined()
    const der = certificate('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256')
    for (let length = 0; length < der.length; length++) {
      expect(tlsServerEndPoint(der.subarray(0, length))).toBeUndefined()
    }
  })
})

describe('SCRAM server', () => {
  const verifier = makeScramVerifier(new Secret('pencil'), Buffer.from('0123456789abcdef'), 4096)

  function logIn(scram: ScramClient, server: ScramServer): void {
    const { data } = scram.first()
    scram.final(server.final(scram.continue(server.first(data))))
  }

  it('lets in who knows the password and nobody else', () => {
    logIn(client(), new ScramServer(verifier, () => SERVER))
    const wrong = client({ password: new Secret('pen') })
    const server = new ScramServer(verifier, () => SERVER)
    expect(codeOf(() => logIn(wrong, server))).toBe('authentication_failed')
  })

  it('agrees with its own client on passwords that SASLprep changes or forbids', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 12 }), (password) => {
        const own = makeScramVerifier(new Secret(password), Buffer.from('salt'), 1)
        logIn(client({ password: new Secret(password) }), new ScramServer(own, () => SERVER))
      }),
    )
  })

  it('PG-17 offers no channel binding: `p=` is refused, `n` and `y` are taken', () => {
    const first = (text: string) => () => new ScramServer(verifier, () => SERVER).first(Buffer.from(text))
    expect(first('n,,n=,r=c')().toString()).toBe(
      `r=cservernonce+,s=${Buffer.from('0123456789abcdef').toString('base64')},i=4096`,
    )
    expect(first('y,,n=,r=c')().toString()).toMatch(/^r=c/)
    expect(codeOf(first('p=tls-server-end-point,,n=,r=c'))).toBe('authentication_failed')
    expect(codeOf(first('n,a=root,n=,r=c'))).toBe('authentication_failed')
    expect(codeOf(first('n,,m=x,n=,r=c'))).toBe('protocol_violation')
    expect(codeOf(first('n,,n='))).toBe('protocol_violation')
  })

  it('PG-17 refuses a final message whose binding or nonce is not the one agreed on', () => {
    for (const [from, to] of [
      ['c=biws', 'c=eSws'],
      ['r=clientnonce', 'r=clientnoncf'],
      [/p=.*/, `p=${Buffer.alloc(32).toString('base64')}`],
    ] as const) {
      const scram = client()
      const server = new ScramServer(verifier, () => SERVER)
      const { data } = scram.first()
      const final = scram.continue(server.first(data)).toString()
      expect(codeOf(() => server.final(Buffer.from(final.replace(from, to))))).toBe('authentication_failed')
    }
  })

  it('takes any client message or throws a SallyportError, nothing else', () => {
    const message = fc.oneof(
      fc.uint8Array(),
      fc.string().map((text) => Buffer.from(`n,,n=,r=${text}`)),
      fc.string().map((text) => Buffer.from(`c=biws,r=cservernonce+,p=${text}`)),
    )
    fc.assert(
      fc.property(message, message, (one, two) => {
        const server = new ScramServer(verifier, () => SERVER)
        for (const step of [() => server.first(one), () => server.final(two)]) {
          try {
            step()
          } catch (error) {
            expect(error).toBeInstanceOf(SallyportError)
          }
        }
      }),
    )
  })

  it('gives an unknown user the same salt every time and lets nobody in', () => {
    const key = Buffer.alloc(32, 7)
    expect(mockVerifier('nobody', key)).toEqual(mockVerifier('nobody', key))
    expect(mockVerifier('nobody', key).salt).not.toEqual(mockVerifier('somebody', key).salt)
    expect(mockVerifier('nobody', key).salt).not.toEqual(mockVerifier('nobody', Buffer.alloc(32, 8)).salt)
    expect(mockVerifier('nobody', key).salt).toHaveLength(16)
    const server = new ScramServer(mockVerifier('nobody', key), () => SERVER)
    expect(codeOf(() => logIn(client(), server))).toBe('authentication_failed')
  })
})

describe('SCRAM secrets', () => {
  it('are read and written as PostgreSQL keeps them', () => {
    const verifier = makeScramVerifier(new Secret('pencil'), Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'), 4096)
    const text =
      'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU='
    expect(formatScramSecret(verifier)).toBe(text)
    expect(formatScramSecret(parseScramSecret(text))).toBe(text)
  })

  it('that are malformed are refused without being repeated', () => {
    for (const text of ['', 'md5abc', 'SCRAM-SHA-256$0:AAAA$AAAA:AAAA', 'SCRAM-SHA-256$4096:AAAA$c2VjcmV0:c2VjcmV0']) {
      expect(() => parseScramSecret(text)).toThrow(/^expected a secret of the form/)
      expect(codeOf(() => parseScramSecret(text))).toBe('invalid_option')
    }
  })
})

describe('SASLprep', () => {
  it.each([
    ['I\u00adX', 'IX'],
    ['user', 'user'],
    ['\u00aa', 'a'],
    ['\u2168', 'IX'],
    ['a\u00a0b', 'a b'],
    ['\u0007', '\u0007'],
    ['\u0627\u0031', '\u0627\u0031'],
    ['\u0627\u00aa1', '\u0627\u00aa1'],
    ['\u00ad', '\u00ad'],
    ['\u00aa\u0007', '\u00aa\u0007'],
    ['\u00aa\u{1f600}', '\u00aa\u{1f600}'],
  ])('%j becomes %j', (password, prepared) => {
    expect(preparePassword(password)).toBe(prepared)
  })
})
