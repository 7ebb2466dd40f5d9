import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { summarize } from '../../../../test/support/summarize-facts.js'
import type { SqlFacts, SqlSessionState } from '../../../core/index.js'
import { createPostgresAnalyzer } from './index.js'

const STATE: SqlSessionState = { standardConformingStrings: true, clientEncoding: 'UTF8', serverVersion: '15.18' }
const analyzer = await createPostgresAnalyzer()
const analyze = (text: string, state: Partial<SqlSessionState> = {}): SqlFacts =>
  analyzer.analyze(text, { ...STATE, ...state })

const CORPUS = readFileSync(join(import.meta.dirname, 'corpus.txt'), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
const PAIRS = CORPUS.flatMap((line, index) =>
  index % 2 === 0 ? [[line, CORPUS[index + 1]?.trim() ?? ''] as const] : [],
)

describe('the facts of one statement', () => {
  it.each(PAIRS)('%s', (text, expected) => {
    expect(summarize(analyze(text))).toBe(expected)
  })
})

describe('what text means to the server', () => {
  it('SQL-1 a backslash in a plain string is a backslash', () => {
    expect(analyze("select 'a\\', ssn from secret --'").tables).toEqual([{ table: 'secret', modes: ['read'] }])
  })

  it('SQL-2 a stacked statement behind a backslash is seen', () => {
    const facts = analyze("select 'a\\' ; drop table users --'")
    expect(facts).toMatchObject({ class: 'ddl', verbs: ['select', 'drop table'] })
    expect(facts.tables).toEqual([{ table: 'users', modes: ['ddl'] }])
  })

  it('SQL-3 with standard_conforming_strings off a backslash in a plain string is not judged', () => {
    const off = { standardConformingStrings: false }
    expect(analyze("select 'a\\', ssn from secret --'", off)).toMatchObject({ certainty: 'unparsed', class: 'unknown' })
    expect(analyze("select n'a\\'", off).certainty).toBe('unparsed')
    expect(analyze("select u&'a\\0061'", off).certainty).toBe('unparsed')
    expect(analyze("select 'a' -- c\n 'b\\'", off).certainty).toBe('unparsed')
    expect(analyze("select E'a\\'', 'b'", off).certainty).toBe('exact')
    expect(analyze('select 1 -- \\\n, "a\\b", $x$ \\ $x$ /* \\ */', off).certainty).toBe('exact')
  })

  it('SQL-3 every way of setting it is an effect', () => {
    for (const text of [
      'set standard_conforming_strings = off',
      "select set_config('standard_conforming_strings', 'off', false)",
      "update pg_settings set setting = 'off' where name = 'standard_conforming_strings'",
      'rollback',
      'reset all',
      'discard all',
      'do $$ begin end $$',
      'call p()',
      'select f()',
    ]) {
      expect(analyze(text).mayChangeSession, text).toBe(true)
    }
    for (const text of ['select 1', 'insert into t values (1)', 'begin', 'savepoint a', 'create table t (a int)']) {
      expect(analyze(text).mayChangeSession, text).toBe(false)
    }
  })

  it('SQL-4 in an encoding whose bytes may look like ASCII only ASCII is judged', () => {
    for (const clientEncoding of ['SJIS', 'BIG5', 'GBK', 'GB18030', 'UHC', 'JOHAB', 'SHIFT_JIS_2004', 'whatever']) {
      expect(analyze("select E'\u8868', ssn from secret --'", { clientEncoding }).certainty).toBe('unparsed')
      expect(analyze('select 1', { clientEncoding }).certainty).toBe('exact')
    }
    for (const clientEncoding of ['UTF8', 'utf-8', 'LATIN1', 'WIN1252', 'SQL_ASCII', 'EUC_JP', 'ISO_8859_5', 'KOI8R']) {
      expect(analyze("select '\u00e9'", { clientEncoding }).certainty).toBe('exact')
    }
  })

  it('SQL-4 a long name is not judged where it would be cut elsewhere', () => {
    const text = `select ${'\u00e9'.repeat(40)} from t`
    expect(analyze(text, { clientEncoding: 'LATIN1' }).certainty).toBe('unparsed')
    expect(analyze(text).certainty).toBe('exact')
  })

  it('SQL-9 a line comment ends at a carriage return', () => {
    expect(analyze('select 1 -- x\r, ssn from secret').tables).toEqual([{ table: 'secret', modes: ['read'] }])
  })

  it('SQL-10 dollar quotes have tags, also beyond ASCII', () => {
    expect(analyze('select $\u00e9$ $$ ; drop table a $\u00e9$').verbs).toEqual(['select'])
    expect(analyze('select $a$ x $a$; drop table b').verbs).toEqual(['select', 'drop table'])
  })

  it('SQL-11 a literal goes on in the next line, in the way it began', () => {
    expect(analyze("select 'a' -- c\n 'b'").verbs).toEqual(['select'])
    expect(analyze("select 'a' -- \u00e9\n--d\r 'b', ssn from secret; copy (select 1) to stdout")).toMatchObject({
      verbs: ['select', 'copy'],
      statements: [{}, { copy: { describeText: 'select 1' } }],
    })
    expect(analyze("select e'a' -- c\n '\\'; drop table x; --'", { standardConformingStrings: false }).verbs).toEqual([
      'select',
    ])
  })

  it('SQL-12 names are folded and cut as the server does it', () => {
    expect(analyze(`select * from ${'A'.repeat(70)}`).tables[0]?.table).toBe('a'.repeat(63))
    expect(analyze('select * from SeCret, "SeCret"').tables.map(({ table }) => table)).toEqual(['secret', 'SeCret'])
    expect(analyze('select * from \u00c9').tables[0]?.table).toBe('\u00c9')
  })

  it('SQL-13 a vertical tab is judged only where the server reads it', () => {
    expect(analyze('select\v1').certainty).toBe('unparsed')
    expect(analyze('select\v1', { serverVersion: '16.2' }).certainty).toBe('exact')
    expect(analyze("select '\v'").certainty).toBe('exact')
  })

  it('SQL-14 three-part names and blanks around dots name schema and table', () => {
    expect(analyze('select * from postgres . public /**/ . secret').tables).toEqual([
      { schema: 'public', table: 'secret', modes: ['read'] },
    ])
  })

  it('SQL-15 a NUL is never parsed', () => {
    for (const text of [
      'select 1\0, ssn from secret',
      "select '\0'",
      '\0',
      "select E'\0'",
      'select 1 /* \0 */',
      '-- \0',
    ]) {
      expect(analyze(text), JSON.stringify(text)).toMatchObject({ certainty: 'unparsed', class: 'unknown' })
    }
  })

  it('SQL-27 nothing before the verb hides it', () => {
    expect(analyze('/* x */ -- y\n ((select ssn from secret))').verbs).toEqual(['select'])
    expect(analyze('\ufeffselect 1').certainty).toBe('unparsed')
    expect(analyze('explain analyze delete from t').class).toBe('write')
    expect(analyze('with x as (delete from t returning 1) select * from x').class).toBe('write')
  })

  it('SQL-29 look-alike letters are other letters', () => {
    expect(analyze('\u017felect 1').certainty).toBe('unparsed')
    expect(analyze('select * from \uff53ecret').tables[0]?.table).toBe('\uff53ecret')
  })

  it('has no statement in an empty text', () => {
    for (const text of ['', ';', ' -- x', '/**/;;']) {
      expect(analyze(text)).toMatchObject({ certainty: 'exact', class: 'read', statements: [] })
    }
  })

  it('does not quote the text in a problem', () => {
    expect(analyze("select 'secret' frm 'hidden' 1").problem).toMatch(/^syntax error at character \d+$/)
  })

  it('does not trust builtin names when pg_catalog is searched late', () => {
    expect(analyze('select upper(ssn) from t', { searchPath: 'evil, pg_catalog' }).class).toBe('unknown')
    expect(analyze('select a + 1 from t', { searchPath: 'evil,"pg_catalog"' }).class).toBe('unknown')
    expect(analyze('select pg_catalog.upper(ssn) from t', { searchPath: 'evil, pg_catalog' }).class).toBe('read')
    expect(analyze('select upper(ssn) from t', { searchPath: '"$user", public' }).class).toBe('read')
  })
})

describe('MASK-12 where values are copied to', () => {
  it.each([
    'create table x as select ssn from secret',
    'create materialized view x as select ssn from secret',
    'create view x as select ssn from secret',
    'select ssn into x from secret',
    'insert into x select ssn from secret',
    'insert into x values ((select ssn from secret))',
    'update x set a = secret.ssn from secret',
    "copy (select ssn from secret) to '/tmp/x'",
    "copy secret (ssn) to program 'cat'",
    "select pg_notify('x', ssn) from secret",
    "select set_config('a.b', ssn, false) from secret",
    'with w as (insert into x select ssn from secret returning 1) select 1',
    'prepare p as insert into x select ssn from secret',
  ])('%s', (text) => {
    expect(analyze(text).launders).toContainEqual({ table: 'secret', column: 'ssn' })
  })
})

describe('hostile texts', () => {
  const nest = (open: string, inner: string, close: string, count: number): string =>
    open.repeat(count) + inner + close.repeat(count)
  const doubled = Array.from({ length: 40 }, (_, i) => `, c${i + 1} as (select * from c${i} x, c${i} y)`).join('')
  const texts: Record<string, string> = {
    'a chain of 9000 additions': `select 1${'+1'.repeat(9000)}`,
    'a chain of 9000 casts': `select 1${'::int'.repeat(9000)}`,
    'a chain of 8000 joins': `select * from a${' join a using (b)'.repeat(8000)}`,
    'a chain of 13000 unions': `select 1, 2${' union select 1, 2'.repeat(13_000)}`,
    'many unions of calls': `select f(1, 2)${' union select f(1, 2)'.repeat(13_000)}`,
    '2000 brackets': `select ${nest('(', '1', ')', 2000)}`,
    '5000 calls': `select ${nest('abs(', '1', ')', 5000)}`,
    '2000 subqueries': `select * from ${nest('(select * from ', 't', ') x', 2000)}`,
    '5000 CASEs': `select ${nest('case when a then 1 else ', '1', ' end', 5000)}`,
    '9000 NOTs': `select ${'not '.repeat(9000)} true`,
    '9000 signs': `select ${'- '.repeat(9000)} 1`,
    '5000 subscripts': `select ${nest('a[', '1', ']', 5000)}`,
    'a list of 1 MB': `select * from t where a in (${"'12345678',".repeat(95_000)}'')`,
    'a list of half a million numbers': `select * from t where a in (${'1,'.repeat(500_000)}1)`,
    'a string of 16 MB': `select '${'x'.repeat(16_000_000)}'`,
    '100000 statements': 'select 1;'.repeat(100_000),
    '300000 columns': `select ${'a,'.repeat(300_000)}a from t`,
    'open comments': '/*'.repeat(500_000),
    'nested comments': nest('/*', '', '*/', 250_000),
    'open brackets': '('.repeat(1_000_000),
    'open dollar quotes': '$a'.repeat(500_000),
    'doubling stars': `with c0 as (select * from t, u)${doubled} select * from c40`,
    'recursion in recursion': Array.from({ length: 30 }).reduce<string>(
      (inner, _, i) =>
        `with recursive c${i} as (select 1 a union all select z.a from (${inner}) z, c${i}) select a from c${i}`,
      'select 1 a',
    ),
  }

  it.each(Object.keys(texts))('SQL-30 %s ends in time, and the next text is judged', async (name) => {
    const started = performance.now()
    const facts = analyze(texts[name] ?? '')
    expect(performance.now() - started).toBeLessThan(2000)
    if (facts.certainty === 'unparsed') expect(facts.class).toBe('unknown')
    await new Promise((resolve) => setImmediate(resolve))
    expect(analyze(`select ssn from secret /* after ${name} */`)).toMatchObject({ class: 'read', certainty: 'exact' })
  })

  it('SQL-30 survives a hundred overflows of the parser itself', async () => {
    const unlimited = await createPostgresAnalyzer({ maxDepth: 1_000_000 })
    for (let round = 0; round < 100; round++) {
      const facts = unlimited.analyze(`select 1${'+1'.repeat(20_000)} + ${round}`, STATE)
      expect(facts.certainty).toBe('unparsed')
      // One spare instance stands by; the next one needs a moment.
      if (round % 2 === 1) await new Promise((resolve) => setTimeout(resolve, 60))
    }
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(unlimited.analyze('select ssn from secret', STATE)).toMatchObject({ certainty: 'exact', class: 'read' })
  })

  it('never throws, whatever it is given', () => {
    const fragments = fc.constantFrom(
      ...["'", '"', '$$', '$a$', '/*', '*/', '--', '\n', '\r', ';', '(', ')', '[', ']', "E'", "U&'", '\\', '\0', '\v'],
      ...[
        'select ',
        'from ',
        'with ',
        'a',
        '.',
        '*',
        ',',
        '1',
        '$1',
        '::',
        'int',
        ' union ',
        'insert into ',
        'values ',
      ],
      ...['delete from ', 'where ', 'copy ', 'to stdout', 'execute ', 'explain ', '\u{1f600}', '\ud800', '1e', '0x'],
    )
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(fragments, { maxLength: 25 }).map((parts) => parts.join('')),
      fc
        .tuple(fc.constantFrom(...PAIRS.map(([sql]) => sql)), fc.nat(), fc.nat(), fragments)
        .map(([sql, at, length, junk]) => {
          const from = at % (sql.length + 1)
          return sql.slice(0, from) + junk + sql.slice(from + (length % 8))
        }),
    )
    const state = fc.record({
      standardConformingStrings: fc.boolean(),
      clientEncoding: fc.constantFrom('UTF8', 'SJIS', 'LATIN1'),
      serverVersion: fc.constantFrom('15.1', '18'),
    })
    fc.assert(
      fc.property(text, state, (sql, session) => {
        const facts = analyzer.analyze(sql, session)
        if (facts.certainty === 'unparsed') expect(facts).toMatchObject({ class: 'unknown', statements: [] })
        else expect(sql.includes('\0')).toBe(false)
      }),
      { numRuns: 3000 },
    )
  })
})

describe('the cache', () => {
  it('gives the same object for the same text and state', () => {
    const facts = analyze('select cached from t')
    expect(analyze('select cached from t', { role: 'other', searchPath: 'public' })).toBe(facts)
    expect(analyze("select 'a\\'")).not.toBe(analyze("select 'a\\'", { standardConformingStrings: false }))
  })

  it('gives objects that nobody can change', () => {
    const facts = analyze('select ssn from secret where id = 1')
    expect(Object.isFrozen(facts)).toBe(true)
    expect(Object.isFrozen(facts.statements[0]?.tables[0]?.modes)).toBe(true)
  })

  it('sees a state that its owner has changed in place', () => {
    const state = { ...STATE }
    expect(analyzer.analyze("select 'b\\'", state).certainty).toBe('exact')
    state.standardConformingStrings = false
    expect(analyzer.analyze("select 'b\\'", state).certainty).toBe('unparsed')
  })
})

describe('the shape', () => {
  it.each([
    ["select * from t where a = 'x' and b = 1.5e3", 'select * from t where a = $1 and b = $2'],
    ['select $1,  2 -- x\n, $2', 'select $1, $3 , $2'],
    ["insert into t values ($$x$$, E'a\\'b', 0x1f)", 'insert into t values ($1, $2, $3)'],
    ['select "A b", c from "T"', 'select "A b", c from "T"'],
  ])('of %s', (text, shape) => {
    expect(analyze(text).shape).toBe(shape)
  })
})
