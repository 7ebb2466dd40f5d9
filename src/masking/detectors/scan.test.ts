import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { scan } from './scan.js'

function found(text: string): [string, string][] {
  const bytes = Buffer.from(text)
  const matches: [string, string][] = []
  scan(bytes, 0, bytes.length, (detector, start, end) => matches.push([detector, bytes.toString('utf8', start, end)]))
  return matches
}

const AWS_SECRET = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEK3Y'
const AZURE = `${'Ab3+/'.repeat(17)}x==`

const VALUES: [string, string, string?][] = [
  ['email', 'ada@example.com'],
  ['email', 'first.last+tag@mail.example.co.uk'],
  ['email', "o'brien_1@xn--bcher-kva.xn--p1ai"],
  ['email', 'josé@exämple.org'],
  ['card', '4111111111111111'],
  ['card', '4111 1111 1111 1111'],
  ['card', '4111-1111-1111-1111'],
  ['card', '5555555555554444'],
  ['card', '378282246310005'],
  ['card', '3782 822463 10005'],
  ['card', '30569309025904'],
  ['card', '6011111111111117'],
  ['card', '3530111333300000'],
  ['card', '4111111111111111'],
  ['card', '4111 1111 1111 1111'],
  ['us-ssn', '123-45-6789'],
  ['us-ssn', '123 45 6789'],
  ['us-ssn', '１２３-４５-６７８９'],
  ['phone', '+14155552671'],
  ['phone', '+1 (415) 555-2671'],
  ['phone', '+44 20 7946 0958'],
  ['phone', '+49-30-901820'],
  ['phone', '(415) 555-2671'],
  ['phone', '415-555-2671'],
  ['phone', '415.555.2671'],
  ['phone', '1-415-555-2671'],
  ['phone', '1 (415) 555-2671'],
  ['iban', 'DE89370400440532013000'],
  ['iban', 'DE89 3704 0044 0532 0130 00'],
  ['iban', 'GB82 WEST 1234 5698 7654 32'],
  ['iban', 'NO9386011117947'],
  [
    'jwt',
    'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U',
  ],
  ['aws-access-key', 'AKIAIOSFODNN7EXAMPLE'],
  ['aws-access-key', 'ASIAIOSFODNN7EXAMPLE'],
  ['gcp-api-key', `AIza${'SyD3-x_'.repeat(5)}`],
  ['azure-storage-key', AZURE],
  ['github', `ghp_${'aB3'.repeat(12)}`],
  ['github', `gho_${'aB3'.repeat(12)}`],
  ['github', `github_pat_${'aB3'.repeat(7)}X_${'aB3'.repeat(19)}`],
  ['gitlab', 'glpat-abcDEF1234567890_-xy'],
  ['slack', 'xoxb-123456789012-abcdefABCDEF'],
  ['stripe', `sk_live_${'aB3'.repeat(8)}`],
  ['npm', `npm_${'aB3'.repeat(12)}`],
  ['openai', `sk-proj-${'aB3'.repeat(12)}`],
  ['anthropic', `sk-ant-api03-${'aB3'.repeat(12)}`],
  ['sendgrid', `SG.${'aB3'.repeat(7)}.${'aB3'.repeat(14)}`],
  ['private-key', '-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nabc+/=\n-----END RSA PRIVATE KEY-----'],
  ['private-key', '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH PRIVATE KEY-----'],
  ['private-key', '-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQ\n-----END PGP PRIVATE KEY BLOCK-----'],
]

const NOT_VALUES: [string, string][] = [
  ['order number', 'order 4111111111111112'],
  ['order number with dashes', 'no. 1234-5678-9012-3456'],
  ['UUID', '550e8400-e29b-41d4-a716-446655440000'],
  ['UUID that reads like an IBAN', 'ba8f75a3-5edd-4aa7-bf83-b849ec45a978'],
  ['UUID of digits', '12345678-1234-4234-8234-123456789012'],
  ['ISO timestamp', '2024-01-15 10:30:00.123456+00'],
  ['ISO timestamp with T', '2024-01-15T10:30:00+05:30'],
  ['milliseconds', '1705314600123'],
  ['microseconds', '1705314600123456'],
  ['snowflake', '1234567890123456789'],
  ['version', '1.22.333-rc.4'],
  ['package version', 'lodash@4.17.21-beta.rc'],
  ['decorator', '@Injectable() class'],
  ['SHA-256', '4111111111111111e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934c'],
  ['decimal', '3.4111111111111111'],
  ['IPv4', '192.168.100.200'],
  ['IPv4 list', '10.0.0.1 10.0.0.2 10.0.0.3'],
  ['MAC', '00:1b:44:11:3a:b7'],
  ['SSN with area 000', '000-12-3456'],
  ['SSN with area 666', '666-12-3456'],
  ['SSN with area 900', '912-12-3456'],
  ['SSN with group 00', '123-00-4567'],
  ['SSN with serial 0000', '123-45-0000'],
  ['nine digits', 'id 123456789'],
  ['ten digits', '4155552671'],
  ['longer dashed number', '123-45-6789-1'],
  ['sum', '1+23456789'],
  ['signed number', '+1234567.89'],
  ['IBAN with wrong check', 'DE88370400440532013000'],
  ['IBAN too short', 'DE8937040044053201300'],
  ['not a JWT', 'eyJhbGciOiJIUzI1NiJ9'],
  ['word with AKIA', 'XAKIAIOSFODNN7EXAMPLE'],
  ['too long for AKIA', 'AKIAIOSFODNN7EXAMPLE1'],
  ['public key', '-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----'],
  ['git SHA', 'commit 9fceb02d0ae598e95dc970b74767f19372d61af8'],
  ['base64 of 40', AWS_SECRET],
  ['short prefix', 'ghp_abc sk_live_x npm_install'],
  ['money', '1,234,567.89 USD'],
  ['dates', '2024-01-15, 15.01.2024, 01/15/2024'],
  ['user at host', 'root@localhost:~#'],
]

describe('scan', () => {
  for (const [detector, value] of VALUES) {
    for (const [before, after] of [
      ['', ''],
      ['x: ', ' y'],
      ['("', '")'],
      ['\\n', '\\n'],
      ['key=', ','],
    ] as const) {
      if (before === '\\n' && (detector === 'private-key' || detector === 'azure-storage-key' || detector === 'jwt'))
        continue
      if (detector === 'private-key' && after !== '' && after !== ' y') continue
      it(`finds ${detector} in ${JSON.stringify(before + value.slice(0, 30) + after)}`, () => {
        expect(found(before + value + after)).toEqual([[detector, value]])
      })
    }
  }

  for (const [name, text] of NOT_VALUES) {
    it(`finds nothing in a ${name}: ${text.slice(0, 40)}`, () => expect(found(text)).toEqual([]))
  }

  it('finds nothing in UUIDs and hexadecimal digests', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uuid(),
          fc.uint8Array({ minLength: 16, maxLength: 32 }).map((b) => Buffer.from(b).toString('hex')),
        ),
        (value) => {
          expect(found(value)).toEqual([])
        },
      ),
      { numRuns: 10_000 },
    )
  })

  it('finds nine digits as a social security number only in context', () => {
    expect(found('SSN: 123456789')).toEqual([['us-ssn', '123456789']])
    expect(found('Social Security no. 123456789')).toEqual([['us-ssn', '123456789']])
    expect(found('{"ssn":"123456789"}')).toEqual([['us-ssn', '123456789']])
    expect(found('session 123456789')).toEqual([])
  })

  it('finds ten digits as a phone number only in context', () => {
    expect(found('phone=4155552671')).toEqual([['phone', '4155552671']])
  })

  it('finds an AWS secret by the name it is given or by the key before it', () => {
    expect(found(`aws_secret_access_key = ${AWS_SECRET}`)).toEqual([['aws-secret', AWS_SECRET]])
    expect(found(`"SecretAccessKey": "${AWS_SECRET}"`)).toEqual([['aws-secret', AWS_SECRET]])
    expect(found(`AKIAIOSFODNN7EXAMPLE,${AWS_SECRET}`)).toEqual([
      ['aws-access-key', 'AKIAIOSFODNN7EXAMPLE'],
      ['aws-secret', AWS_SECRET],
    ])
  })

  it('masks a private key that has no end', () => {
    const [match] = found('-----BEGIN PRIVATE KEY-----\nMIIEow\nabc')
    expect(match).toEqual(['private-key', '-----BEGIN PRIVATE KEY-----\nMIIEow\nabc'])
  })

  it('finds several values in one text, in order', () => {
    expect(found('ada@example.com, 4111111111111111, 123-45-6789')).toEqual([
      ['email', 'ada@example.com'],
      ['card', '4111111111111111'],
      ['us-ssn', '123-45-6789'],
    ])
  })

  it('takes time in proportion to the text, whatever the text', () => {
    const megabyte = 1 << 20
    const hostile = [
      '1',
      '@',
      'a@',
      '1 ',
      '1-',
      '4111-',
      '41111 ',
      '411 11 ',
      '+1',
      '+1 ',
      'eyJ.',
      'eyJ.eyJ.',
      'eyJaaaaaaaaaaaa.',
      '-----BEGIN ',
      '-----BEGIN PRIVATE KEY-----',
      'A',
      '==',
      'A=',
      'secretkey=',
      'AKIA',
      'ghp_',
      '_',
      'DE89',
      'a1',
      '(1',
      '１',
      '\\u0031',
      'a.a@a.',
      '-',
      'ssn 123456789 ',
      'aaaa@aaaa.aa',
      '1.',
      `${'a'.repeat(86)}==`,
      `${'a'.repeat(127)}@`,
    ]
    for (const unit of hostile) {
      const bytes = Buffer.alloc(megabyte, unit)
      const before = process.cpuUsage().user
      scan(bytes, 0, bytes.length, () => {})
      const elapsed = (process.cpuUsage().user - before) / 1_000
      expect(elapsed, `1 MB of ${unit.slice(0, 20)}`).toBeLessThan(2_000)
    }
  })
})
