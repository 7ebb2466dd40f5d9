import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as m from '../../../src/protocols/postgres/messages.js'
import { bind, cellsOf, execute, frame, int16, int32, typesOf, Wire, type WireMessage } from '../../support/wire.js'
import { attack, fateOf, leaks, startWorld, type Tapped, tap, WAYS, type World } from './support.js'

let world: World

beforeAll(async () => {
  world = await startWorld({
    sql: `
      create role reader nologin;
      create view harmless as select label from item;
      create schema other;
      create table other.item (id int, label text, price numeric);
      insert into other.item select level, ssn, 0 from secret;
    `,
  })
})

afterAll(async () => world?.stop())

const dead = async (tapped: Tapped): Promise<void> => {
  await tapped.wire.untilClosed()
  expect(leaks(tapped.bytes())).toEqual([])
}

const alive = async ({ wire, bytes }: Tapped): Promise<void> => {
  expect(typesOf(await wire.query('select 1'))).toBe('TDCZ')
  expect(leaks(bytes())).toEqual([])
  wire.close()
}

describe('PG-1 calls by number', () => {
  const CALLS = [
    'query_to_xml',
    'pg_read_file',
    'table_to_xml',
    'set_config',
    'pg_notify',
    'lo_import',
    'version',
    'int4pl',
  ]
  for (const name of CALLS) {
    it(`PG-1 FunctionCall of ${name} is refused`, async () => {
      const [[oid]] = (await world.truth(`select max(oid)::int from pg_proc where proname = '${name}'`)) as [[number]]
      for (const user of ['wide', 'narrow', 'masked', 'strict']) {
        const mark = await world.mark()
        const tapped = await world.login(user)
        const argument = Buffer.from('select ssn from secret')
        tapped.wire.send(
          frame('F', Buffer.concat([int32(oid), int16(0), int16(1), int32(argument.length), argument, int16(0)])),
        )
        expect(typesOf(await tapped.wire.until('Z'))).toBe('EZ')
        await alive(tapped)
        expect(await world.logSince(mark)).not.toMatch(/fastpath|ssn/)
      }
    })
  }

  it('PG-1 a malformed FunctionCall ends the session or is refused, and is not forwarded', async () => {
    for (const body of [int32(1), Buffer.alloc(0), Buffer.concat([int32(1), int16(-1)]), Buffer.alloc(64, 0xff)]) {
      const tapped = await world.login('wide')
      tapped.wire.send(frame('F', body))
      const answer = await tapped.wire.until('Z').catch(() => undefined)
      if (answer !== undefined) expect(typesOf(answer)).toBe('EZ')
      expect(leaks(tapped.bytes())).toEqual([])
      tapped.wire.close()
    }
  })
})

describe('PG-7 PG-8 PG-9 rows without names, in other formats, in pieces', () => {
  it('PG-7 a statement described long ago, or never, is masked whenever it runs again', async () => {
    const { wire, bytes } = await world.login('masked')
    wire.send(m.parse('s', 'select ssn, note, level from secret order by level'), m.sync())
    await wire.until('Z')
    for (let i = 0; i < 3; i++) {
      wire.send(bind('', 's'), execute(''), bind('p', 's', [], [1, 0, 1]), execute('p', 1), execute('p', 5), m.sync())
      const answer = await wire.until('Z')
      expect(typesOf(answer)).toBe('2DDC2DsDCZ')
      expect(cellsOf(answer[1] as WireMessage).slice(0, 2)).toEqual(['[redacted]', '[redacted]'])
      await wire.query('begin; savepoint a; select 1; rollback')
    }
    expect(leaks(bytes())).toEqual([])
    wire.close()
  })

  it('PG-7 a table that changed under a prepared statement is masked by what it is now', async () => {
    await world.truth('create table shifting (a text, ssn text)')
    await world.truth("insert into shifting values ('x', 'y')")
    const { wire, bytes } = await world.login('masked')
    wire.send(m.parse('s', 'select * from shifting'), m.describe('S', 's'), m.sync())
    await wire.until('Z')
    await world.truth('drop table shifting')
    await world.truth('create table shifting as select note as a, ssn from secret')
    wire.send(bind('', 's'), execute(''), m.sync())
    // The server notices itself where the type of the result changed; here it is the same.
    await wire.until('Z')
    expect(leaks(bytes()).filter((form) => form === '078-05-1120')).toEqual([])
    await world.truth('drop table shifting')
    wire.close()
  })

  it('PG-8 formats that are not the number of columns, or not known, are refused as the server does', async () => {
    for (const formats of [[1, 0], [1, 1, 1, 1], [2], [-1], [0, 1, 2]]) {
      const tapped = await world.login('masked')
      tapped.wire.send(
        m.parse('', 'select ssn, note, level from secret'),
        bind('', '', [], formats),
        execute(''),
        m.sync(),
      )
      const answer = await tapped.wire.until('Z').catch(() => undefined)
      if (answer !== undefined) expect(typesOf(answer)).toMatch(/E.*Z/)
      expect(leaks(tapped.bytes())).toEqual([])
      tapped.wire.close()
    }
  })

  it('PG-9 a suspended portal goes on masked, however it is resumed', async () => {
    const { wire, bytes } = await world.login('masked')
    await wire.query('begin')
    wire.send(
      m.parse('', 'select * from secret, generate_series(1, 3)'),
      bind('p', '', [], [1]),
      execute('p', 1),
      m.sync(),
    )
    expect(typesOf(await wire.until('Z'))).toBe('12DsZ')
    expect(typesOf(await wire.query('fetch 1 from p'))).toBe('TDCZ')
    wire.send(execute('p', 2), m.describe('P', 'p'), execute('p', 0), m.sync())
    await wire.until('Z')
    await wire.query('move backward all in p')
    await wire.query('rollback')
    expect(leaks(bytes())).toEqual([])
    wire.close()
  })
})

describe('PG-12 PG-13 lengths and contents that lie', () => {
  const LENGTHS = [0, 1, 3, -1, -2_147_483_648, 0x7fffffff, 0x40000000, 0x10000004]
  for (const length of LENGTHS) {
    for (const type of ['Q', 'P', 'B', 'E', 'd', 'X', 'S', 'p', 'F', 'z', '\0']) {
      it(`PG-12 ${JSON.stringify(type)} of length ${length} is judged by its five bytes`, async () => {
        const tapped = await world.login('wide')
        tapped.wire.send(Buffer.from(type, 'latin1'), int32(length), Buffer.from('table secret\0'))
        if (length > 0 && length !== 1 && length !== 3 && ['Q', 'P', 'B', 'd', 'F'].includes(type)) {
          // It may be streamed away as a message that is too long: then it never ends, and nothing is owed.
          await new Promise((resolve) => setTimeout(resolve, 30))
          expect(leaks(tapped.bytes())).toEqual([])
          tapped.wire.close()
        } else await dead(tapped)
      })
    }
  }

  const secretQuery = Buffer.from('table secret\0')
  const MALFORMED: Readonly<Record<string, Buffer>> = {
    'Query with a NUL inside': frame('Q', Buffer.from('select 1\0; table secret\0')),
    'Query without its NUL': frame('Q', Buffer.from('select 1')),
    'Query with nothing': frame('Q'),
    'Query with two NULs': frame('Q', Buffer.from('select 1\0\0')),
    'Query that begins with NUL': frame('Q', Buffer.from('\0table secret\0')),
    'Parse without parameter count': frame('P', Buffer.from('\0select 1\0')),
    'Parse with fewer types than counted': frame('P', Buffer.concat([Buffer.from('\0select 1\0'), int16(2), int32(0)])),
    'Parse with a negative count': frame('P', Buffer.concat([Buffer.from('\0select 1\0'), int16(-1)])),
    'Parse with 0xffff types': frame('P', Buffer.concat([Buffer.from('\0select 1\0'), int16(-1), Buffer.alloc(8)])),
    'Parse with trailing bytes': frame('P', Buffer.concat([Buffer.from('\0select 1\0'), int16(0), secretQuery])),
    'Parse with a NUL inside': frame('P', Buffer.concat([Buffer.from('\0select 1\0table secret\0'), int16(0)])),
    "Parse without a name's NUL": frame('P', Buffer.from('select 1')),
    'Bind with 0xffff parameters': frame('B', Buffer.concat([Buffer.from('\0\0'), int16(0), int16(-1)])),
    'Bind with 0xffff parameters and some bytes': frame(
      'B',
      Buffer.concat([Buffer.from('\0\0'), int16(0), int16(-1), Buffer.alloc(100)]),
    ),
    'Bind with 0xffff formats': frame('B', Buffer.concat([Buffer.from('\0\0'), int16(-1), int16(0), int16(0)])),
    'Bind with a length of -2': frame(
      'B',
      Buffer.concat([Buffer.from('\0\0'), int16(0), int16(1), int32(-2), int16(0)]),
    ),
    'Bind with a length beyond its end': frame(
      'B',
      Buffer.concat([Buffer.from('\0\0'), int16(0), int16(1), int32(1000), int16(0)]),
    ),
    'Bind with a length of 2^31-1': frame(
      'B',
      Buffer.concat([Buffer.from('\0\0'), int16(0), int16(1), int32(0x7fffffff), int16(0)]),
    ),
    'Bind with trailing bytes': frame(
      'B',
      Buffer.concat([Buffer.from('\0\0'), int16(0), int16(0), int16(0), secretQuery]),
    ),
    'Bind that hides a Query behind it': frame(
      'B',
      Buffer.concat([Buffer.from('\0\0'), int16(0), int16(0), int16(0), m.query('table secret')]),
    ),
    'Execute with a short limit': frame('E', Buffer.from('\0\0\0')),
    'Execute with trailing bytes': frame('E', Buffer.concat([Buffer.from('\0'), int32(0), secretQuery])),
    'Describe of an unknown kind': frame('D', Buffer.from('X\0')),
    'Close of an unknown kind': frame('C', Buffer.from('X\0')),
    'Sync with a body': frame('S', secretQuery),
    'Flush with a body': frame('H', secretQuery),
    'Terminate with a body': frame('X', secretQuery),
    'a password after log-in': frame('p', Buffer.from('secret\0')),
    'a message type of the server': frame('D', Buffer.from([0, 1])),
    'CopyData outside COPY': frame('d', secretQuery),
    'an unknown type': frame('!', secretQuery),
  }
  for (const [name, bytes] of Object.entries(MALFORMED)) {
    it(`PG-13 ${name}: an error or the end of the session, and nothing of it upstream`, async () => {
      const mark = await world.mark()
      const tapped = await world.login('wide')
      tapped.wire.send(m.parse('', 'select 1'), m.sync())
      await tapped.wire.until('Z')
      tapped.wire.send(bytes, m.sync())
      const answer = await tapped.wire.until('Z', 3_000).catch(() => undefined)
      if (answer !== undefined && !name.startsWith('CopyData')) expect(typesOf(answer)).toMatch(/E/)
      expect(leaks(tapped.bytes())).toEqual([])
      tapped.wire.close()
      expect(await world.logSince(mark)).not.toMatch(/table secret/)
    })
  }
})

describe('PG-15 PG-14 what a start-up packet may ask for', () => {
  const REPLICATION = ['true', 'database', 'on', '1', 'yes', 'TRUE', 'false']
  for (const value of REPLICATION) {
    it(`PG-15 replication=${value} never reaches the server: no BASE_BACKUP`, async () => {
      const tapped = await world.login('wide', [['replication', value]]).catch((error: unknown) => error as Error)
      if (!(tapped instanceof Error)) {
        for (const text of [
          'IDENTIFY_SYSTEM',
          "BASE_BACKUP (LABEL 'x')",
          'BASE_BACKUP',
          'START_REPLICATION 0/0',
          'SHOW data_directory',
        ]) {
          const answer = await tapped.wire.query(text).catch(() => [])
          expect(
            answer.some(({ type }) => type === 'H' || type === 'W' || type === 'd'),
            text,
          ).toBe(false)
        }
        expect(leaks(tapped.bytes())).toEqual([])
        tapped.wire.close()
      }
    })
  }

  const REFUSED_PARAMETERS: readonly (readonly [string, string])[] = [
    ['options', '-c role=postgres'],
    ['options', '-c session_authorization=postgres'],
    ['options', '-c standard_conforming_strings=off'],
    ['options', '--search_path=other'],
    ['options', '-csearch_path=other'],
    ['options', '-c search\\_path=other'],
    ['options', '-c statement_timeout=0 -c search_path=other,public'],
    ['search_path', 'other'],
    ['role', 'postgres'],
    ['session_authorization', 'postgres'],
    ['standard_conforming_strings', 'off'],
    ['client_encoding', 'SJIS'],
    ['client_encoding', 'BIG5'],
    ['client_encoding', 'GBK'],
    ['client_encoding', 'JOHAB'],
    ['REPLICATION', 'true'],
    ['Search_Path', 'other'],
  ]
  for (const [name, value] of REFUSED_PARAMETERS) {
    it(`PG-15 SQL-3 SQL-4 ${name}=${value} at start-up is refused, or changes nothing`, async () => {
      const tapped = await world.login('narrow', [[name, value]]).catch((error: unknown) => error as Error)
      if (tapped instanceof Error) return
      const answer = await tapped.wire.query('select label from item where id in (7, 9)')
      expect(answer.filter(({ type }) => type === 'D')).toHaveLength(0)
      const answers = await tapped.wire.query(
        "select current_setting('standard_conforming_strings'), current_setting('client_encoding')",
      )
      expect(cellsOf(answers.find(({ type }) => type === 'D') as WireMessage)).toEqual(['on', 'UTF8'])
      expect(leaks(tapped.bytes())).toEqual([])
      tapped.wire.close()
    })
  }

  const STARTUPS: Readonly<Record<string, Buffer>> = {
    'protocol 2': Buffer.concat([int32(8), int32(0x20000)]),
    'length of 4': int32(4),
    'length of 3': int32(3),
    'length of 0': Buffer.concat([int32(0), int32(196608)]),
    'negative length': Buffer.concat([int32(-1), int32(196608)]),
    'more than 10,000 bytes': Buffer.concat([int32(10_001), int32(196608), Buffer.alloc(9_993, 0x61)]),
    'an HTTP request': Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
    'a TLS hello where none is spoken': Buffer.from([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0]),
    'no user': Buffer.concat([int32(9), int32(196608), Buffer.from([0])]),
    'an odd number of strings': Buffer.concat([int32(8 + 6), int32(196608), Buffer.from('user\0\0')]),
    'no final NUL': Buffer.concat([int32(8 + 9), int32(196608), Buffer.from('user\0wide')]),
    'bytes behind the final NUL': Buffer.concat([int32(8 + 16), int32(196608), Buffer.from('user\0wide\0\0extra')]),
    'two users': Buffer.concat([int32(8 + 26), int32(196608), Buffer.from('user\0wide\0user\0postgres\0\0\0')]),
    'two SSLRequests': Buffer.concat([m.sslRequest(), m.sslRequest(), m.sslRequest()]),
    'a Query before any start-up': m.query('table secret'),
    'a forged cancel request': m.cancelRequest(1, Buffer.from([1, 2, 3, 4])),
  }
  for (const [name, bytes] of Object.entries(STARTUPS)) {
    it(`PG-14 ${name}: nobody is let in`, async () => {
      const tapped = tap(await Wire.dial(world.port))
      tapped.wire.send(bytes)
      await new Promise((resolve) => setTimeout(resolve, 40))
      tapped.wire.send(m.query('table secret'))
      await new Promise((resolve) => setTimeout(resolve, 40))
      expect(tapped.bytes().includes('SFATAL') || tapped.wire.isClosed || tapped.bytes().length <= 3).toBe(true)
      expect(leaks(tapped.bytes())).toEqual([])
      tapped.wire.close()
    })
  }
})

describe('PG-16 cancel requests', () => {
  it("PG-16 a key of the gateway is not the server's, and a wrong one is no oracle", async () => {
    const { wire } = await world.login('wide')
    wire.send(m.query('select pg_backend_pid(), count(*) from generate_series(1, 30000000)'))
    const closings: string[] = []
    for (const key of [Buffer.alloc(4), Buffer.from([1, 2, 3, 4]), Buffer.alloc(32, 7)]) {
      const socket = connect(world.port, '127.0.0.1')
      const answer: Buffer[] = []
      socket.on('data', (chunk: Buffer) => answer.push(chunk))
      await new Promise((resolve) => {
        socket.once('close', resolve)
        socket.once('error', resolve)
        socket.write(m.cancelRequest(4_242, key))
      })
      closings.push(Buffer.concat(answer).toString('latin1'))
    }
    expect(closings).toEqual(['', '', ''])
    expect(typesOf(await wire.until('Z', 30_000))).toBe('TDCZ')
    wire.close()
  })
})

describe('PG-19 segments', () => {
  const SCRIPTS: Readonly<Record<string, readonly Buffer[]>> = {
    'a Query': [m.query('table secret')],
    'two Queries': [m.query('select 1'), m.query('select ssn from secret')],
    'an extended query': [m.parse('', 'table secret'), bind('', ''), m.describe('P', ''), execute(''), m.sync()],
    'a Parse behind an older one': [
      m.parse('', 'select 1'),
      m.parse('', 'table secret'),
      bind('', ''),
      execute(''),
      m.sync(),
    ],
    'scs off, then a backslash': [
      m.query('set standard_conforming_strings = off'),
      m.query(String.raw`select 'a\', ssn from secret --'`),
      m.query(String.raw`select '\'', ssn from secret --'`),
    ],
    'a transaction': [m.query('begin'), m.query('table secret'), m.query('commit')],
  }
  for (const [name, parts] of Object.entries(SCRIPTS)) {
    it(`PG-19 SQL-3 ${name}: whole, byte by byte, and split at every byte, the same is refused`, async () => {
      const whole = Buffer.concat([...parts])
      const sessions = parts.filter((part) => part[0] === 0x51 || part[0] === 0x53).length
      const run = async (pieces: readonly Buffer[]): Promise<string> => {
        const { wire, bytes } = await world.login('narrow')
        for (const piece of pieces) {
          wire.socket.write(piece)
          await new Promise((resolve) => setImmediate(resolve))
        }
        let types = ''
        for (let i = 0; i < sessions; i++) types += typesOf(await wire.until('Z'))
        expect(leaks(bytes())).toEqual([])
        wire.close()
        return types.replaceAll('S', '')
      }
      const expected = await run([whole])
      expect(expected).toContain('E')
      expect(await run([...whole].map((byte) => Buffer.from([byte])))).toBe(expected)
      const cuts = Array.from({ length: whole.length - 1 }, (_, index) => index + 1)
      for (let i = 0; i < cuts.length; i += 8) {
        const results = await Promise.all(
          cuts.slice(i, i + 8).map((at) => run([whole.subarray(0, at), whole.subarray(at)])),
        )
        expect(new Set(results)).toEqual(new Set([expected]))
      }
    })
  }
})

describe('PG-21 PG-22 sessions and identities', () => {
  it('PG-21 LISTEN and NOTIFY can be denied by class and verb', async () => {
    const { wire } = await world.login('narrow')
    expect(fateOf(await wire.query("notify c, 'x'")).fate).toBe('denied')
    expect(fateOf(await wire.query("select pg_notify('c', 'x')")).fate).toBe('denied')
    wire.close()
  })

  for (const text of [
    'set role reader',
    'set role postgres',
    'SET LOCAL ROLE none',
    'set session role reader',
    'set session authorization reader',
    'set session authorization default',
    'set local session authorization postgres',
    'reset role',
    'reset session authorization',
    'set "role" = \'reader\'',
    'set role to default',
    "set session_authorization = 'postgres'",
    'set session_authorization to default',
    'grant reader to postgres',
    'create role x superuser',
    'alter role reader set search_path = other',
    "alter database postgres set role = 'reader'",
    'alter role current_user superuser',
    'alter default privileges grant select on tables to public',
    'reassign owned by reader to postgres',
  ]) {
    it(`PG-22 ${text}: visible and denied`, async () => {
      const mark = await world.mark()
      for (const user of ['wide', 'masked', 'clerk']) {
        const { outcomes } = await attack(world, user, text, WAYS)
        expect(
          outcomes.filter(({ fate }) => fate !== 'denied'),
          user,
        ).toEqual([])
      }
      expect((await world.logSince(mark)).includes(text)).toBe(false)
    })
  }

  for (const text of [
    "select set_config('role', 'reader', false)",
    "select set_config('session_authorization', 'reader', false)",
    "update pg_settings set setting = 'reader' where name = 'role'",
    "select set_config('ro' || 'le', 'reader', false)",
  ]) {
    it(`PG-22 ${text}: a rule about settings by function denies it`, async () => {
      const { outcomes } = await attack(world, 'narrow', text, WAYS)
      expect(outcomes.filter(({ fate }) => fate !== 'denied')).toEqual([])
    })
  }
})
