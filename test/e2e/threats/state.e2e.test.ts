import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Subject } from '../../../src/core/index.js'
import { MemoryRecordStore } from '../../../src/recording/index.js'
import * as m from '../../../src/protocols/postgres/messages.js'
import { bind, cellsOf, execute, frame, typesOf, Wire, type WireMessage } from '../../support/wire.js'
import { attack, disguises, fateOf, leaks, startWorld, type Tapped, VALUES, WAYS, type World } from './support.js'

const BOSS: Subject = { id: 'boss', type: 'human', groups: ['owners'] }
const CLERK: Subject = { id: 'clerk', type: 'human', groups: ['staff'] }

let world: World
const store = new MemoryRecordStore()

beforeAll(async () => {
  world = await startWorld({
    store,
    sql: `
      create schema other;
      create table other.item (id int, label text, price numeric);
      insert into other.item select level, ssn, 0 from secret;
      create role lax nologin;
    `,
  })
})

afterAll(async () => world?.stop())

const fate = async ({ wire }: Tapped, text: string): Promise<string> => fateOf(await wire.query(text)).fate

/** What the analyzer must not be fooled about, whichever way the strings are read. */
const TWO_FACED = [
  String.raw`select 'a\', ssn from secret --'`,
  String.raw`select 'a\'', ssn from secret --'`,
  String.raw`select '\'', (select ssn from secret limit 1), '--'`,
  String.raw`select label from item where label = '\' union select ssn from secret --'`,
  String.raw`select label from item where label = '\'' union select ssn from secret --'`,
]

describe('SQL-3 how strings are read changes under way', () => {
  const SWITCHES: Readonly<Record<string, readonly string[]>> = {
    SET: ['set standard_conforming_strings = off'],
    'SET in capitals and quotes': ['SET SESSION "standard_conforming_strings" TO \'OFF\''],
    'SET LOCAL': ['begin', 'set local standard_conforming_strings to 0'],
    set_config: ["select set_config('standard_conforming_strings', 'off', false)"],
    'set_config, put together': ["select set_config('standard_' || 'conforming_strings', 'of' || 'f', false) "],
    'UPDATE pg_settings': ["update pg_settings set setting = 'off' where name = 'standard_conforming_strings'"],
    'RESET ALL behind a changed default': ['reset all'],
    'rollback to a savepoint': ['begin', 'savepoint a', 'set standard_conforming_strings = on', 'rollback to a'],
    'DISCARD ALL': ['discard all'],
  }
  for (const [name, switches] of Object.entries(SWITCHES)) {
    it(`SQL-3 by ${name}`, async () => {
      for (const text of TWO_FACED) {
        const tapped = await world.login('narrow')
        for (const change of switches) await tapped.wire.query(change)
        const shown = await tapped.wire.query("select current_setting('standard_conforming_strings')")
        const isOff = shown.some((message) => message.type === 'D' && cellsOf(message)[0] === 'off')
        // Where the change was refused or means nothing, the second of the texts is one harmless string.
        const end = await fate(tapped, text)
        if (isOff) expect(end, text).toBe('denied')
        expect(leaks(tapped.bytes())).toEqual([])
        tapped.wire.close()
        // All in one segment: the server lexes the second text in the new mode before it has said so.
        const piped = await world.login('narrow')
        piped.wire.send(...switches.map(m.query), m.query(text), m.parse('', text), bind('', ''), execute(''), m.sync())
        for (let i = 0; i < switches.length + 2; i++) await piped.wire.until('Z')
        expect(leaks(piped.bytes())).toEqual([])
        piped.wire.close()
      }
    })
  }

  it('SQL-3 by a default of the role that is logged in as', async () => {
    await world.truth('alter role postgres set standard_conforming_strings = off')
    try {
      for (const text of TWO_FACED) {
        const { outcomes, bytes } = await attack(world, 'narrow', text, WAYS)
        expect(outcomes.filter(({ fate: end }) => end !== 'denied')).toEqual([])
        expect(leaks(bytes)).toEqual([])
      }
    } finally {
      await world.truth('alter role postgres reset standard_conforming_strings')
    }
  })
})

describe('SQL-4 encodings whose characters hold a backslash', () => {
  const ENCODINGS = [
    'SJIS',
    'BIG5',
    'GBK',
    'UHC',
    'GB18030',
    'JOHAB',
    'SHIFT_JIS_2004',
    'EUC_JP',
    'LATIN1',
    'SQL_ASCII',
    'WIN1252',
    'MULE_INTERNAL',
  ]
  for (const encoding of ENCODINGS) {
    it(`SQL-4 ${encoding}: a half character does not end a string unseen`, async () => {
      for (const change of [
        `set client_encoding = '${encoding}'`,
        `set names '${encoding}'`,
        `select set_config('client_encoding', '${encoding}', false)`,
      ]) {
        const tapped = await world.login('narrow')
        const attackBytes = Buffer.concat([
          Buffer.from("select E'"),
          Buffer.from([0x95, 0x5c]),
          Buffer.from("', ssn from secret --'\0"),
        ])
        tapped.wire.send(m.query(change), frame('Q', attackBytes))
        await tapped.wire.until('Z').catch(() => undefined)
        await tapped.wire.until('Z', 2_000).catch(() => undefined)
        expect(leaks(tapped.bytes())).toEqual([])
        tapped.wire.close()
      }
    })
  }
})

describe('texts that the server rejects, or reads as nothing', () => {
  const DUDS = [
    'select\v1, ssn from secret',
    'select 1\v, ssn from\vsecret',
    'ｓelect ssn from secret',
    'ſelect ssn from secret',
    'select ssn from ſecret',
    'select ssn from secret；',
    'select ssn\u00a0from secret',
    'select ssn\u2003from secret',
    '\ufeffselect ssn from secret',
    'select ssn from sec\u200bret',
    'select ssn from sec\u00adret',
    'select ‘a’, ssn from secret',
    'select 1--1,ssn from secret\n',
    'select ssn,1e1from secret',
    "select x'3' || ssn from secret",
    'select ssn from `secret`',
    'select ssn from [secret]',
    'select ssn from secret #',
    'handler secret open',
    'select * from{x secret}',
    "select U&'\\0000', ssn from secret",
    "select U&'\\d800', ssn from secret",
    "select E'\\000', ssn from secret",
    'select "',
    'select $$',
    'select $a$ $b$',
    "select '",
    'select /*',
    '/* /* */',
    "select E'\\",
    '$',
    '\\',
    ';',
    '',
    '\\copy secret to stdout',
    '\\! ls',
    'execute immediate $$table secret$$',
  ]
  for (const text of DUDS) {
    const line = text.includes('\v') ? 'SQL-13' : 'SQL-29'
    it(`${line} ${JSON.stringify(text)} reveals nothing`, async () => {
      for (const user of ['narrow', 'wide', 'masked']) {
        const { bytes } = await attack(world, user, text, WAYS)
        expect(leaks(bytes), user).toEqual([])
      }
    })
  }

  it('SQL-15 a NUL inside a text is not forwarded', async () => {
    const mark = await world.mark()
    for (const text of [
      'select 1\0',
      'select 1\0, ssn from secret',
      '\0table secret',
      "select 'a\0', ssn from secret",
    ]) {
      const tapped = await world.login('wide')
      tapped.wire.send(frame('Q', Buffer.from(`${text}\0`)))
      await tapped.wire.until('Z', 3_000).catch(() => undefined)
      expect(leaks(tapped.bytes())).toEqual([])
      tapped.wire.close()
    }
    expect(await world.logSince(mark)).not.toMatch(/statement: .*(?:secret|select 1)/)
  })
})

describe('SQL-30 huge and deep texts', () => {
  const HUGE: Readonly<Record<string, () => string>> = {
    '2000 brackets': () => `select ${'('.repeat(2000)}1${')'.repeat(2000)}, (select ssn from secret limit 1)`,
    '100,000 brackets': () => `select ${'('.repeat(100_000)}ssn${')'.repeat(100_000)} from secret`,
    '100,000 opening brackets': () => `select ${'('.repeat(100_000)}`,
    'an IN list of 1 MB': () =>
      `select ssn from secret where level in (${Array.from({ length: 150_000 }, (_, i) => i).join(',')})`,
    'a string of 16 MB': () => `select '${'x'.repeat(16 << 20)}', ssn from secret`,
    '5000 subqueries': () => `${'select * from ('.repeat(5000)}table secret${') x'.repeat(5000)}`,
    '10,000 ORs': () => `select ssn from secret where ${'level = 1 or '.repeat(10_000)}true`,
    '20,000 UNIONs': () => `${'select 1::text union all '.repeat(20_000)}select ssn from secret`,
    '10,000 NOTs': () => `select ssn from secret where ${'not '.repeat(10_000)}true`,
    '50,000 minus signs': () => `select ${'- '.repeat(50_000)}1, ssn from secret`,
    '20,000 nested comments': () => `${'/*'.repeat(20_000)}${'*/'.repeat(20_000)} table secret`,
    '3000 CASEs': () => `select ${'case when true then '.repeat(3000)}ssn${' end'.repeat(3000)} from secret`,
    '10,000 casts': () => `select ssn${'::text'.repeat(10_000)} from secret`,
    '5000 joins': () =>
      `select secret.ssn from secret ${Array.from({ length: 5000 }, (_, i) => `cross join item i${i}`).join(' ')}`,
    '40 doubling stars': () =>
      `with a0 as (table secret), ${Array.from({ length: 40 }, (_, i) => `a${i + 1} as (select x.*, y.* from a${i} x, a${i} y)`).join(', ')} table a40`,
    '20,000 statements': () => `${'select 1;'.repeat(20_000)} table secret`,
    '5000 array brackets': () => `select ${'array['.repeat(5000)}ssn${']'.repeat(5000)} from secret`,
    '20,000 subscripts': () => `select (array[ssn])${'[1]'.repeat(20_000)} from secret`,
    'a name of 1 MB': () => `select ssn as ${'a'.repeat(1 << 20)} from secret`,
    'a dollar tag of 1 MB': () => `select $${'t'.repeat(1 << 20)}$, ssn from secret`,
    '1000 WITHs inside each other': () =>
      `${Array.from({ length: 1000 }, (_, i) => `with w${i} as (`).join('')}table secret${')table secret'.repeat(1000)}`,
  }
  for (const [name, make] of Object.entries(HUGE)) {
    it(`SQL-30 ${name}: judged in bounded time, and denied`, async () => {
      const text = make()
      for (const user of ['narrow', 'wide']) {
        const tapped = await world.login(user)
        const started = performance.now()
        tapped.wire.send(m.query(text))
        const answer = await tapped.wire.until('Z', 20_000)
        expect(performance.now() - started).toBeLessThan(10_000)
        expect(fateOf(answer).fate).toBe('denied')
        expect(await fate(tapped, 'select 1')).toBe('ran')
        expect(leaks(tapped.bytes())).toEqual([])
        tapped.wire.close()
      }
    })
  }
})

describe('PG-20 what was judged is what runs', () => {
  it('PG-20 a rule with a schema does not hold for a name that the search path leads elsewhere', async () => {
    const tapped = await world.login('pinned')
    expect(await fate(tapped, 'select label from public.item')).toBe('ran')
    await tapped.wire.query('set search_path = other')
    expect(await fate(tapped, 'select label from item')).toBe('denied')
    tapped.wire.send(m.parse('', 'select label from item'), bind('', ''), execute(''), m.sync())
    expect(typesOf(await tapped.wire.until('Z'))).toBe('EZ')
    expect(leaks(tapped.bytes())).toEqual([])
    tapped.wire.close()
  })

  for (const change of [
    'set search_path = other, public',
    "select set_config('search_path', 'other,public', false)",
    "set schema 'other'",
    'set local search_path = other, public',
    'reset search_path',
  ]) {
    it(`PG-20 prepared before and bound after \`${change}\`: judged again as the server reads it now`, async () => {
      const tapped = await world.login('pinned')
      const { wire, bytes } = tapped
      await wire.query('set search_path = public')
      wire.send(m.parse('s', 'select label from item where id in (7, 9)'), m.sync())
      expect(typesOf(await wire.until('Z'))).toMatch(/^S?1Z$/)
      await wire.query('begin')
      // In one segment, and the same again when its effect has been told.
      wire.send(m.query(change), bind('', 's'), execute(''), m.sync())
      await wire.until('Z')
      await wire.until('Z')
      wire.send(bind('', 's'), execute(''), m.sync())
      await wire.until('Z')
      await wire.query('execute s')
      expect(leaks(bytes())).toEqual([])
      wire.close()
    })
  }

  it("PG-20 nobody who may only read can put another table or view in a name's place", async () => {
    for (const text of [
      'create temp table item (id int, label text, price numeric)',
      'create temp view item as select * from other.item',
      'create or replace view harmless as table secret',
      'select * into temp item from other.item',
      'alter table other.item set schema pg_temp',
      'prepare x as create temp table item (a int)',
    ]) {
      for (const user of ['narrow', 'pinned']) {
        const { outcomes } = await attack(world, user, text, WAYS)
        expect(outcomes.filter(({ fate: end }) => end !== 'denied')).toEqual([])
      }
    }
  })
})

/** What one held command is shown as, once it is there. */
async function held(): Promise<NonNullable<ReturnType<World['broker']['get']>>> {
  for (let i = 0; i < 200; i++) {
    const [first] = world.broker.list()
    const view = first && world.broker.get(first.id)
    if (view !== undefined) return view
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  throw new Error('nothing is held')
}

const count = async (note: string): Promise<number> =>
  Number((await world.truth(`select count(*) from trace where note = '${note}'`))[0]?.[0])

describe('approvals', () => {
  it('APP-2 APP-4 APP-9 an approval runs what was shown, once', async () => {
    const { wire } = await world.login('clerk')
    wire.send(m.query("insert into trace values ('once')"))
    const view = await held()
    expect(JSON.stringify(view)).toContain("insert into trace values ('once')")
    expect(await count('once')).toBe(0)
    world.broker.approve(view.id, BOSS)
    world.broker.approve(view.id, BOSS)
    await wire.until('Z')
    world.broker.approve(view.id, BOSS)
    expect(await count('once')).toBe(1)
    // The same again needs another.
    wire.send(m.query("insert into trace values ('once')"))
    const second = await held()
    expect(second.id).not.toBe(view.id)
    world.broker.reject(second.id, BOSS, 'no more')
    const answer = await wire.until('Z')
    expect(fateOf(answer).fate).toBe('denied')
    expect(await count('once')).toBe(1)
    wire.close()
  })

  it('PG-20 APP-2 APP-8 an approval is bound to values, search path, role and transaction', async () => {
    const { wire } = await world.login('clerk')
    const digests = new Set<string>()
    const ask = async (value: string): Promise<void> => {
      wire.send(m.parse('', 'insert into trace values ($1)'), bind('', '', [value]), execute(''), m.sync())
      const view = await held()
      expect(JSON.stringify(view)).toContain(value)
      digests.add(view.digest)
      world.broker.reject(view.id, BOSS, 'no')
      await wire.until('Z')
    }
    await ask('first')
    await ask('second')
    await wire.query('set search_path = other, public')
    await ask('first')
    await wire.query('begin')
    await ask('first')
    await wire.query('rollback')
    await wire.query('begin')
    await ask('first')
    await wire.query('rollback')
    expect(digests.size).toBe(5)
    wire.close()
  })

  it('APP-1 APP-3 the requester does not approve, by whatever name', async () => {
    const { wire } = await world.login('clerk')
    wire.send(m.query("insert into trace values ('self')"))
    const view = await held()
    world.broker.approve(view.id, CLERK)
    world.broker.approve(view.id, { ...CLERK, id: 'clerk' })
    world.broker.approve(view.id, { id: 'bot', type: 'agent', groups: ['owners'] })
    world.broker.approve(view.id, { id: 'mask', type: 'human', onBehalfOf: 'clerk' })
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(await count('self')).toBe(0)
    world.broker.reject(view.id, BOSS, 'no')
    await wire.until('Z')
    expect(await count('self')).toBe(0)
    wire.close()
  })

  it('APP-5 who is gone has asked for nothing, and a late approval is ignored', async () => {
    const { wire } = await world.login('clerk')
    wire.send(m.query("insert into trace values ('gone')"))
    const view = await held()
    wire.close()
    await new Promise((resolve) => setTimeout(resolve, 50))
    world.broker.approve(view.id, BOSS)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(await count('gone')).toBe(0)
    expect(world.broker.list()).toHaveLength(0)
  })

  it('PG-3 APP-6 what comes behind a held command waits in order', async () => {
    const { wire } = await world.login('clerk')
    wire.send(
      m.query("insert into trace values ('ordered')"),
      m.query("select count(*) from trace where note = 'ordered'"),
    )
    const view = await held()
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(wire.received.filter(({ type }) => type !== 'N')).toEqual([])
    world.broker.approve(view.id, BOSS)
    expect(typesOf(await wire.until('Z')).replace(/N/g, '')).toBe('CZ')
    const rows = await wire.until('Z')
    expect(cellsOf(rows.find(({ type }) => type === 'D') as WireMessage)).toEqual(['1'])
    wire.close()
  })

  it('PG-2 a refused Parse does not let an older unnamed statement run', async () => {
    const { wire, bytes } = await world.login('wide')
    wire.send(m.parse('', "insert into trace values ('older')"), m.sync())
    await wire.until('Z')
    wire.send(m.parse('', 'select ssn from secret'), bind('', ''), m.describe('P', ''), execute(''), m.sync())
    expect(typesOf(await wire.until('Z'))).toBe('EZ')
    expect(await count('older')).toBe(0)
    expect(leaks(bytes())).toEqual([])
    wire.close()
  })
})

describe('records and credentials', () => {
  it('REC-5 MASK-10 a full recording holds masked output, and no password', async () => {
    const { wire } = await world.login('masked')
    await wire.query('select * from secret')
    await wire.query('copy secret to stdout')
    await wire.query('select note::int from secret')
    await wire.query("alter role lax password 'hunter2-hunter2'")
    wire.close()
    await new Promise((resolve) => setTimeout(resolve, 100))
    const all: Buffer[] = []
    for (const name of await store.list()) all.push(store.bytes(name))
    const bytes = Buffer.concat(all)
    expect(bytes.length).toBeGreaterThan(1000)
    for (const value of VALUES) {
      // Texts of attacks quote one value; output never does.
      if (value !== VALUES[0]) for (const form of disguises(value)) expect(bytes.includes(form), form).toBe(false)
    }
    expect(bytes.includes('hunter2-hunter2')).toBe(false)
    expect(bytes.includes(world.server.password)).toBe(false)
  })

  it("CRED-2 CRED-4 the target's credential is neither told nor taken", async () => {
    const tapped = await world.login('masked')
    for (const text of [
      'select rolname, rolpassword from pg_authid',
      'show all',
      'select current_user, session_user',
      'select * from pg_shadow',
      'select * from pg_stat_activity',
      'select * from pg_hba_file_rules',
    ]) {
      await tapped.wire.query(text)
    }
    expect(tapped.bytes().includes(world.server.password)).toBe(false)
    tapped.wire.close()
    const login = { port: world.port, user: world.server.user, password: world.server.password, database: 'postgres' }
    await expect(Wire.login(login)).rejects.toThrow(/closed|28P01|authentication/)
  })
})
