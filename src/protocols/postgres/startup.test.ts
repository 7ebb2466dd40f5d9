import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { serialize } from 'pg-protocol'
import { cancelRequest, sslRequest, startupMessage } from './messages.js'
import { checkStartupParameters, parseOptions, parseStartup } from './startup.js'

/** The body of a startup packet: version, then `text` in which `|` stands for NUL. */
function startup(text: string, version = 0x0003_0000): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt32BE(version)
  return Buffer.concat([head, Buffer.from(text.replaceAll('|', '\0'))])
}

function check(parameters: Record<string, string>, allow?: ReadonlySet<string>): unknown {
  const result = checkStartupParameters({ parameters: new Map(Object.entries(parameters)) }, allow)
  return 'problem' in result ? result.problem : Object.fromEntries(result.parameters)
}

describe('parseStartup', () => {
  it('tells the packets apart', () => {
    expect(parseStartup(sslRequest().subarray(4))).toEqual({ kind: 'ssl' })
    expect(parseStartup(Buffer.from([4, 210, 22, 48]))).toEqual({ kind: 'gssenc' })
    expect(parseStartup(cancelRequest(-7, Buffer.from([1, 2, 3, 4])).subarray(4))).toEqual({
      kind: 'cancel',
      processId: -7,
      secretKey: Uint8Array.of(1, 2, 3, 4),
    })
    expect(parseStartup(startup('user|u|database|d|_pq_.x|1|application_name|a||', 0x0003_0002))).toEqual({
      kind: 'startup',
      major: 3,
      minor: 2,
      user: 'u',
      database: 'd',
      parameters: new Map([['application_name', 'a']]),
      protocolOptions: ['_pq_.x'],
    })
  })

  it('reads what pg-protocol and its own encoder write', () => {
    const parameters = { user: 'jörg', database: 'd', datestyle: '' }
    expect(parseStartup(serialize.startup(parameters).subarray(4))).toMatchObject({ user: 'jörg', database: 'd' })
    expect(startupMessage(0, [...Object.entries(parameters), ['client_encoding', 'UTF8']])).toEqual(
      serialize.startup(parameters),
    )
    expect(cancelRequest(12, Buffer.from([0, 0, 0, 9]))).toEqual(serialize.cancel(12, 9))
    expect(sslRequest()).toEqual(serialize.requestSsl())
  })

  it('PG-15 takes the user for the database where none is named, as the server does', () => {
    expect(parseStartup(startup('user|u||'))).toMatchObject({ database: 'u' })
    expect(parseStartup(startup('user|u|database|||'))).toMatchObject({ database: 'u' })
  })

  it.each([
    ['no version', Buffer.from([0, 3, 0])],
    ['protocol 2', startup('user|u||', 0x0002_0000)],
    ['protocol 4', startup('user|u||', 0x0004_0000)],
    ['no terminator', startup('user|u|')],
    ['no value', startup('user|')],
    ['an unterminated value', startup('user|u')],
    ['nothing', startup('')],
    ['bytes behind the terminator', startup('user|u||x')],
    ['a second terminator', startup('user|u|||')],
    ['no user', startup('database|d||')],
    ['an empty user', startup('user||database|d||')],
    ['invalid UTF-8', Buffer.concat([startup('user|'), Buffer.from([0xff, 0, 0])])],
    ['a database name the server would cut', startup(`user|u|database|${'d'.repeat(64)}||`)],
    ['too many bytes', startup(`user|u|application_name|${'a'.repeat(10_000)}||`)],
    ['bytes in an SSLRequest', Buffer.concat([sslRequest().subarray(4), Buffer.from([0])])],
    ['a cancel key of three bytes', cancelRequest(1, Buffer.alloc(4)).subarray(4, 15)],
    ['a cancel key of 257 bytes', Buffer.concat([cancelRequest(1, Buffer.alloc(256)).subarray(4), Buffer.alloc(1)])],
  ])('PG-14 refuses a packet with %s', (_, packet) => {
    expect(parseStartup(packet)).toMatchObject({ kind: 'invalid' })
  })

  it('PG-15 refuses a parameter given twice', () => {
    expect(parseStartup(startup('user|u|user|root||'))).toMatchObject({ kind: 'invalid' })
    expect(parseStartup(startup('user|u|options||options|-c role=root||'))).toMatchObject({ kind: 'invalid' })
  })

  it('never throws, and accepts nothing that has lost its end', () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => void parseStartup(Buffer.from(bytes))))
    const whole = startup('user|u|database|d|application_name|a||')
    for (let length = 0; length < whole.length; length++) {
      expect(parseStartup(whole.subarray(0, length))).toMatchObject({ kind: 'invalid' })
    }
  })
})

describe('parseOptions', () => {
  it.each([
    ['-c geqo=off', { geqo: 'off' }],
    ['-cgeqo=off  --lock-timeout=5', { geqo: 'off', lock_timeout: '5' }],
    ['\t-c a=b\\ c\\\\d\n', { a: 'b c\\d' }],
    ['--A-b=c=d', { a_b: 'c=d' }],
    ['-c a=1 -c A=2', { a: '2' }],
    ['-c a=', { a: '' }],
    ['', {}],
  ])('reads %j', (text, settings) => {
    const parsed = parseOptions(text)
    expect('settings' in parsed && Object.fromEntries(parsed.settings)).toEqual(settings)
  })

  it.each(['-c', '-c geqo', '--geqo', '--', '-d 5', '-ec a=b', 'a=b', '-c =x', '\\', '-W 60', '-', '-fs'])(
    'PG-15 takes %j for a problem',
    (text) => {
      expect(parseOptions(text)).toHaveProperty('problem')
    },
  )
})

describe('checkStartupParameters', () => {
  it('merges options, in which a parameter of its own wins', () => {
    expect(
      check({ TimeZone: 'UTC', options: '-c timezone=CET -c DateStyle=ISO', fallback_application_name: 'psql' }),
    ).toEqual({ timezone: 'UTC', datestyle: 'ISO', application_name: 'psql' })
    expect(check({ application_name: 'a', fallback_application_name: 'psql' })).toEqual({ application_name: 'a' })
  })

  it.each(['true', 'database', 'on', 'yes', '1', 't', '', 'of'])('PG-15 refuses replication=%s', (value) => {
    expect(check({ replication: value })).toBe('replication connections are not allowed')
  })

  it('drops replication=false', () => {
    expect(check({ replication: 'off' })).toEqual({})
  })

  it.each([
    'search_path',
    'Role',
    'session_authorization',
    'standard_conforming_strings',
    'default_transaction_read_only',
    'session_preload_libraries',
    'Options',
    'REPLICATION',
  ])('PG-15 refuses %s even where the caller would allow it, as a parameter and in options', (name) => {
    const allow = new Set([name.toLowerCase()].filter((allowed) => allowed !== 'replication'))
    expect(check({ [name]: 'x' }, allow)).toMatch(/not allowed/)
    expect(check({ options: `-c ${name}=x` }, allow)).toMatch(/not allowed/)
    expect(check({ options: `--${name.replaceAll('_', '-')}=x` }, allow)).toMatch(/not allowed/)
  })

  it('PG-15 refuses what is not on the list, and one setting under two spellings', () => {
    expect(check({ work_mem: '1GB' })).toBe('startup parameter `work_mem` is not allowed')
    expect(check({ work_mem: '1GB' }, new Set(['work_mem']))).toEqual({ work_mem: '1GB' })
    expect(check({ timezone: 'UTC', TimeZone: 'CET' })).toBe('startup parameter `timezone` is given twice')
  })

  it('SQL-4 refuses an encoding in which a backslash can be half a character', () => {
    expect(check({ client_encoding: 'SJIS' })).toBe('client encoding `SJIS` is not supported')
    expect(check({ options: '-c client_encoding=gbk' })).toBe('client encoding `gbk` is not supported')
    expect(check({ client_encoding: 'utf-8' })).toEqual({ client_encoding: 'utf-8' })
  })
})
