import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as m from '../../../src/protocols/postgres/messages.js'
import { bind, cellsOf, execute, frame, int16, int32, type WireMessage } from '../../support/wire.js'
import { attack, fateOf, leaks, RULES, startWorld, VALUES, WAYS, type World } from './support.js'

let world: World
let open: World

beforeAll(async () => {
  world = await startWorld()
  // What a rule has to let pass before these channels can carry anything: code, and calls by number.
  open = await startWorld({
    rules: [
      ...RULES.filter(({ id }) => !id.startsWith('all-') && id !== 'masked-allow'),
      {
        id: 'masked-everything',
        effect: 'allow',
        match: { subjects: 'masked' },
        evenIfUnparsed: true,
        mask: {
          columns: ['secret.ssn', 'secret.email', 'secret.card', 'secret.note'],
          detectors: ['us-ssn', 'email', 'card'],
        },
      },
    ],
    sql: `
      create function shout(text) returns text language plpgsql as $$ begin raise notice '%', $1; return $1; end $$;
      create function first_ssn() returns text language sql as $$ select ssn from secret order by level limit 1 $$;
    `,
  })
})

afterAll(async () => {
  await world?.stop()
  await open?.stop()
})

const textsOf = (answer: readonly WireMessage[], type: string): string =>
  answer
    .filter((message) => message.type === type)
    .map((message) => message.body.toString('latin1'))
    .join('\n')

/** Each of these makes the server quote a value. */
const ERRORS = [
  'select ssn::int from secret',
  'select email::numeric from secret',
  "select ('x' || card)::bigint from secret",
  'select ssn::date from secret',
  'select ssn::uuid from secret',
  'select ssn::inet from secret',
  'select ssn::json from secret',
  'select ssn::xml::text::json from secret',
  'select ssn::regclass from secret',
  'select email::regtype from secret',
  'select ssn::interval from secret',
  "select to_date(ssn, 'YYYY-MM-DD')::text::int from secret",
  'select ssn::bit(3) from secret',
  "select to_number(ssn, '999') / 0 from secret",
  'select ssn::boolean from secret',
  'select ssn::point from secret',
  'select ssn::int4range from secret',
  'select array[ssn]::int[] from secret',
  "select ('{' || ssn || '}')::int[] from secret",
  "select ('(' || ssn || ',)')::secret from secret",
  'select ssn::timestamptz from secret',
  "select ('2020-01-01 00:00 ' || ssn)::timestamptz from secret",
  'select now() at time zone ssn from secret',
  'select encode(ssn::bytea, email) from secret',
  'select convert_from(ssn::bytea, email) from secret',
  "select ('\\x' || ssn)::bytea from secret",
  'select decode(ssn, $$hex$$) from secret',
  'select decode(email, $$base64$$) from secret',
  "select regexp_match('a', '(' || ssn) from secret",
  'select jsonb_path_query($${}$$, ssn::jsonpath) from secret',
  "select to_tsquery(ssn || ' ' || email) from secret",
  'select ssn::tsquery from secret',
  'select (ssn || $$ & & $$)::tsquery from secret',
  "select set_config('work_mem', ssn, false) from secret",
  "select set_config(ssn, '1', false) from secret",
  "select set_config('TimeZone', email, false) from secret",
  'select nextval(ssn) from secret',
  'select currval(email::text) from secret',
  "select pg_get_serial_sequence('item', ssn) from secret",
  'select has_table_privilege(email, $$item$$, $$select$$) from secret',
  "select has_column_privilege('item', ssn, 'select') from secret",
  'select jsonb_object(array[ssn, null, null]) from secret',
  'select money(ssn) from secret',
  'select chr(card::bigint::int) from secret',
  'select card::int from secret',
  'select card::bigint::int2 from secret',
  'select format(ssn || $$%$$, 1) from secret',
  'select date_trunc(ssn, now()) from secret',
  'select date_part(email, now()) from secret',
  'select extract(epoch from ssn::interval) from secret',
  'select ssn::pg_lsn from secret',
  'select ssn::macaddr from secret',
  'select ssn::money from secret',
  'select ssn::xid from secret',
  'select xpath(ssn, $$<a/>$$) from secret',
  'select xmlparse(document email) from secret',
  'select xmlpi(name a, ssn || $$?>$$) from secret',
  'select xmlcomment(ssn || $$--$$) from secret',
  'select generate_series(1, 2, ssn::int) from secret',
  'insert into item select 1, ssn, 0 from secret',
  'insert into secret select name, ssn, email, card, note, level from secret',
  'insert into secret (ssn) values ((select ssn from secret limit 1)) returning 1',
  'update secret set ssn = (select ssn from secret where level = 9) where level = 7',
  'create unique index on secret ((1 + 0 * length(ssn)), (left(ssn, 0)))',
  "alter table secret add constraint c check (ssn <> '078-05-1120' or level < 0)",
  'alter table secret add constraint fk foreign key (ssn) references secret (email)',
  'alter table secret alter ssn type int using ssn::int',
  'create index on secret ((ssn::int))',
  'create temp table checked (a text check (length(a) < 5)); insert into checked select ssn from secret',
  'create temp table uniq (a text unique); insert into uniq select ssn from secret union all select ssn from secret',
  'create temp table excl (a text, exclude (a with =)); insert into excl select ssn from secret union all select ssn from secret',
  'create temp table notnull (a text, b int not null); insert into notnull select ssn, null from secret',
  'create temp table short (a varchar(5)); insert into short select ssn from secret',
  'create temp table parts (a text) partition by list (a); insert into parts select ssn from secret',
  'create temp table gen (a text, b int generated always as (length(a)) stored); insert into gen select ssn, 1 from secret',
]

/** Without detectors for them: only that a masked column was touched tells that the text may hold it. */
const DISGUISED_ERRORS = [
  'select note::int from secret',
  'select reverse(ssn)::int from secret',
  "select translate(ssn, '0123456789', 'abcdefghij')::int from secret",
  "select ('x' || encode(ssn::bytea, 'hex'))::int from secret",
  'select md5(ssn)::int from secret',
  "select encode(note::bytea, 'base64')::int from secret",
  'select (s.*)::text::int from secret s',
  'select row_to_json(s)::text::int from secret s',
  'select note::regclass from secret',
  "select set_config('work_mem', note, false) from secret",
  'select nextval(note) from secret',
  'create index on secret ((note::int))',
  'update secret set level = note::int where level = 7',
  'select 1 from secret where note::int = 1',
  'select 1 from secret order by note::date',
  'create temp table uniq2 (a text unique); insert into uniq2 select note from secret union all select note from secret',
  'create temp table checked2 (a text check (length(a) < 5)); insert into checked2 select note from secret',
  'create unique index on secret (left(note, 0), note, (1))',
  'create temp table parts2 (a text) partition by list (a); insert into parts2 select note from secret',
  'with x as (select note from secret) select note::date from x',
  'select q.a::json from (select note as a from secret) q',
]

describe('errors quote values', () => {
  for (const text of [...ERRORS, ...DISGUISED_ERRORS]) {
    it(`MASK-3 ${JSON.stringify(text)}`, async () => {
      const ways = text.includes(';') ? { simple: WAYS['simple'] as never } : WAYS
      const { bytes } = await attack(world, 'masked', text, ways)
      expect(leaks(bytes)).toEqual([])
    })
  }
})

describe('values that the server keeps elsewhere by itself', () => {
  const COPIES = [
    "select most_common_vals::text, histogram_bounds::text from pg_stats where tablename = 'secret'",
    'select * from pg_stats',
    'select s from pg_stats s',
    'select stavalues1::text, stavalues2::text from pg_statistic',
    'select * from pg_catalog.pg_statistic',
    'select m.* from pg_statistic_ext_data, pg_mcv_list_items(stxdmcv) m',
    'select most_common_vals from pg_stats_ext',
    'select stxdmcv::text::bytea from pg_statistic_ext_data',
  ]
  beforeAll(async () => {
    await open.truth('create statistics secret_st (mcv) on name, note from secret')
    await open.truth('insert into secret (name, note, level) select name, note, 60 from secret, generate_series(1, 5)')
    await open.truth('analyze secret')
    await open.truth('delete from secret where level = 60')
  })

  for (const text of COPIES) {
    it(`MASK-11 ${JSON.stringify(text)}`, async () => {
      const bare = await attack(open, 'direct', text, { simple: WAYS['simple'] as never })
      expect(leaks(bare.bytes), 'the attack works without a gateway').not.toEqual([])
      const { bytes } = await attack(open, 'masked', text, WAYS)
      expect(leaks(bytes)).toEqual([])
    })
  }

  it('MASK-11 long values in their own table', async () => {
    const [[name]] = (await open.truth(
      "select c.reltoastrelid::regclass::text from pg_class c where relname = 'secret'",
    )) as [[string]]
    await open.truth('alter table secret alter note set storage external')
    await open.truth(`insert into secret (note, level) values (repeat('${VALUES[6]} ', 500), 50)`)
    const { wire, bytes } = await open.login('masked')
    for (const text of [
      `select chunk_data from ${name}`,
      `select encode(chunk_data, 'escape') from ${name}`,
      `table ${name}`,
    ]) {
      await wire.query(text)
    }
    expect(leaks(bytes())).toEqual([])
    await open.truth('delete from secret where level = 50')
    wire.close()
  })

  it('MASK-3 MASK-4 what a trigger says of a row that it was given', async () => {
    await open.truth(
      "create function tell() returns trigger language plpgsql as $$ begin raise notice 'now %', new.note; if new.level < 0 then raise exception 'not %', reverse(new.note); end if; return new; end $$",
    )
    await open.truth('create trigger tell before update on secret for each row execute function tell()')
    const { wire, bytes } = await open.login('masked')
    await wire.query('begin')
    await wire.query('update secret set level = level + 1 where level = 7')
    await wire.query('update secret set level = -1 where level = 9')
    await wire.query('rollback')
    expect(bytes().includes('NOTICE')).toBe(true)
    expect(leaks(bytes())).toEqual([])
    await open.truth('drop trigger tell on secret')
    wire.close()
  })
})

describe('the other channels', () => {
  it('MASK-1 rows: text, binary, mixed, with and without any Describe', async () => {
    const { wire, bytes } = await world.login('masked')
    for (const formats of [[], [0], [1], [0, 1, 0, 1, 0, 1], [1, 0, 1, 0, 1, 0]]) {
      for (const described of [true, false]) {
        wire.send(
          m.parse('', 'select * from secret'),
          bind('', '', [], formats),
          ...(described ? [m.describe('P', '')] : []),
          execute(''),
          m.sync(),
        )
        const answer = await wire.until('Z')
        expect(answer.filter(({ type }) => type === 'D')).toHaveLength(2)
        expect(cellsOf(answer.find(({ type }) => type === 'D') as WireMessage)[0]).toBe('Ann')
      }
    }
    expect(leaks(bytes())).toEqual([])
    wire.close()
  })

  it('MASK-4 notices: RAISE in a DO block that a rule lets pass', async () => {
    const { wire, bytes } = await open.login('masked')
    const answer = await wire.query(
      "do $$ declare r record; begin for r in select * from secret loop raise notice 'ssn % mail % card %', r.ssn, r.email, r.card; end loop; end $$",
    )
    expect(answer.filter(({ type }) => type === 'N')).toHaveLength(2)
    await wire.query('select shout(ssn) from secret')
    await wire.query(
      "do $$ begin raise warning using message = 'w', detail = (select ssn from secret limit 1), hint = (select email from secret limit 1), column = (select card from secret limit 1), constraint = (select ssn from secret limit 1), datatype = (select ssn from secret limit 1), table = (select email from secret limit 1), schema = (select email from secret limit 1); end $$",
    )
    await wire.query(
      "do $$ begin raise exception using message = (select ssn from secret limit 1), errcode = 'SSN11'; end $$",
    )
    expect(leaks(bytes()).filter((form) => !form.includes('ossifrage'))).toEqual([])
    wire.close()
  })

  it('MASK-5 parameter values: application_name set to a value', async () => {
    const { wire, bytes } = await world.login('masked')
    const answer = await wire.query("select set_config('application_name', (select ssn from secret limit 1), false)")
    expect(textsOf(answer, 'S')).toContain('application_name')
    await wire.query("select set_config('application_name', (select email from secret limit 1), false)")
    await wire.query('show application_name')
    await wire.query(
      "select current_setting('application_name'), application_name from pg_stat_activity where pid = pg_backend_pid()",
    )
    expect(leaks(bytes())).toEqual([])
    wire.close()
  })

  it('MASK-6 notification payloads and channels', async () => {
    const listener = await world.login('masked')
    const sender = await world.login('masked')
    await listener.wire.query('listen gossip')
    await sender.wire.query("select pg_notify('gossip', ssn) from secret")
    await sender.wire.query("select pg_notify('gossip', 'mail: ' || email || ' card: ' || card) from secret")
    await listener.wire.query('select 1')
    await new Promise((resolve) => setTimeout(resolve, 50))
    await listener.wire.query('select 1')
    expect(leaks(Buffer.concat([listener.bytes(), sender.bytes()]))).toEqual([])
    expect(listener.bytes().toString('latin1')).toContain('gossip')
    // And for who may not launder, no way to send it.
    const strict = await world.login('strict')
    expect(fateOf(await strict.wire.query("select pg_notify('gossip', ssn) from secret")).fate).toBe('denied')
    for (const { wire } of [listener, sender, strict]) wire.close()
  })

  it('MASK-7 results of FunctionCall that a rule lets pass', async () => {
    const [[oid]] = (await open.truth("select 'first_ssn'::regproc::oid::int")) as [[number]]
    for (const format of [0, 1]) {
      const { wire, bytes } = await open.login('masked')
      wire.send(frame('F', Buffer.concat([int32(oid), int16(0), int16(0), int16(format)])))
      const answer = await wire.until('Z')
      expect(answer.some(({ type }) => type === 'V' || type === 'E')).toBe(true)
      expect(leaks(bytes())).toEqual([])
      wire.close()
    }
  })

  it('MASK-8 column names made of values', async () => {
    const { wire, bytes } = await open.login('masked')
    await wire.query(
      "do $$ begin execute format('create temp table named (%I int, %I int, %I int)', (select ssn from secret limit 1), (select email from secret limit 1), (select card from secret limit 1)); end $$",
    )
    const answer = await wire.query('select * from named')
    expect(textsOf(answer, 'T').length).toBeGreaterThan(50)
    wire.send(m.parse('s', 'select * from named'), m.describe('S', 's'), m.sync())
    await wire.until('Z')
    expect(leaks(bytes()), 'described').toEqual([])
    await wire.query('copy named to stdout with (header, format csv)')
    expect(leaks(bytes()), 'copy').toEqual([])
    await wire.query("select attname from pg_attribute where attrelid = 'named'::regclass")
    expect(leaks(bytes()), 'attname').toEqual([])
    await wire.query('select row_to_json(named) from named')
    await wire.query('select nothing from named')
    expect(leaks(bytes())).toEqual([])
    wire.close()
  })

  it("MASK-9 settings of one's own shown again", async () => {
    const { wire, bytes } = await world.login('masked')
    await wire.query("select set_config('my.a', ssn, false), set_config('my.b', email, false) from secret limit 1")
    for (const text of [
      'show my.a',
      'show my.b',
      "select current_setting('my.a')",
      "select current_setting('my.b', true) as x",
    ]) {
      await wire.query(text)
    }
    expect(leaks(bytes())).toEqual([])
    const strict = await world.login('strict')
    for (const value of ['ssn', 'reverse(note)', 'md5(card)', 's::text']) {
      const answer = await strict.wire.query(`select set_config('my.a', ${value}, false) from secret s`)
      expect(fateOf(answer).fate, value).toBe('denied')
    }
    wire.close()
    strict.wire.close()
  })
})

describe('COPY', () => {
  const OPTIONS = [
    '',
    'with (format text)',
    "with (format text, delimiter '|')",
    "with (format text, null 'nil')",
    'with (format csv)',
    'with (format csv, header)',
    "with (format csv, header, delimiter ';', quote '''')",
    "with (format csv, force_quote *, escape '^')",
    'with (format csv, force_quote (ssn))',
    'with (format binary)',
    'binary',
    'csv header',
    "with delimiter as ',' null as ''",
    "with (encoding 'UTF8')",
  ]
  const SOURCES = [
    'secret',
    'public.secret',
    'secret (ssn, email)',
    'secret (note)',
    '(select * from secret)',
    '(table secret)',
    '(select ssn as x, reverse(note), md5(card) from secret)',
    '(select s from secret s)',
    '(select s::text, row_to_json(s) from secret s)',
    '(with q as (select note from secret) select * from q)',
    "(select 'x' union all select note from secret)",
  ]
  for (const source of SOURCES) {
    it(`PG-10 MASK-2 COPY ${source} in every format`, async () => {
      const { wire, bytes } = await world.login('masked')
      for (const options of OPTIONS) {
        if (options.includes('(ssn)') && source !== 'secret') continue
        const spelt = options === 'binary' ? `copy binary ${source} to stdout` : `copy ${source} to stdout ${options}`
        for (const extended of [false, true]) {
          if (extended) {
            wire.send(m.parse('', spelt), bind('', ''), execute(''), m.sync())
            await wire.until('Z')
          } else await wire.query(spelt)
          expect(leaks(bytes()), spelt).toEqual([])
        }
      }
      const answer = await wire.query(`copy ${source} to stdout`)
      expect(answer.filter(({ type }) => type === 'd')).toHaveLength(source.includes('union') ? 3 : 2)
      wire.close()
    })
  }

  it('PG-10 where the format of a COPY is not known it ends the session', async () => {
    for (const name of ['UTF16', 'LATIN1', 'SJIS', 'EUC_JP', 'WIN1252']) {
      const { outcomes, bytes } = await attack(world, 'masked', `copy secret to stdout with (encoding '${name}')`, WAYS)
      expect(leaks(bytes)).toEqual([])
      expect(outcomes.filter(({ fate }) => fate === 'ran')).toEqual([])
    }
  })
})

describe('questions about what is masked', () => {
  const BLIND = [
    "select name from secret where ssn like '0%'",
    "select count(*) from secret where ssn = '078-05-1120'",
    'select name from secret order by ssn',
    'select name from secret order by ssn desc limit 1',
    'select 1 / (case when ssn like $$0%$$ then 0 else 1 end) from secret where ssn is not null',
    "select name from secret limit (select count(*) from secret where ssn like '0%')",
    "select exists (select 1 from secret where note ~ '^s')",
    'select name from secret group by name, ssn',
    "select count(*) filter (where ssn like '0%') from secret",
    'select name, row_number() over (order by ssn) from secret',
    'select a.name from secret a join secret b on a.ssn < b.ssn',
    'select name from secret a join (select $$078-05-1120$$ as ssn) b using (ssn)',
    'select name from secret natural join (select $$078-05-1120$$ as ssn) b',
    "select name from secret where (ssn, email) > ('0', '')",
    "select name from secret s where s::text like '%078%'",
    "select name from secret s where row_to_json(s)::text ~ '078'",
    "select name from secret where ssn in (values ('078-05-1120'))",
    'select distinct on (ssn) name from secret',
    'select name from secret having max(ssn) > $$1$$',
    'select name from secret fetch first (select length(note) from secret limit 1) rows only',
    "explain select name from secret where ssn = '078-05-1120'",
    "explain analyze select name from secret where ssn like '0%'",
    "delete from secret where ssn = 'x'",
    "update secret set level = 1 where ssn = 'x'",
    "update secret set level = 1 where level = 99 and note like 's%'",
    'merge into item using secret on item.label = secret.ssn when matched then do nothing',
    "insert into plain select 'x' from secret where ssn like '9%'",
    "copy (select name from secret where ssn like '0%') to stdout",
    "create view w as select name from secret where ssn like '0%'",
    "create temp table w as select name from secret where ssn like '0%'",
    "declare c cursor for select name from secret where ssn like '0%'",
    'prepare p(text) as select name from secret where ssn like $1',
    "with x as (select name from secret where ssn like '0%') select * from x",
    "select (select name from secret where ssn like '0%')",
    "select * from pg_stats where tablename = 'secret'",
    'select most_common_vals, histogram_bounds from pg_catalog.pg_stats',
    'select stavalues1 from pg_statistic',
    'select pg_sleep(case when ssn like $$0%$$ then 1 else 0 end) from secret',
    "create index on secret (level) where ssn like '0%'",
    "create policy p on secret using (ssn like '0%')",
    "select name from secret where not (ssn <> '078-05-1120')",
    "select name from secret where case ssn when '078-05-1120' then true end",
  ]
  for (const text of BLIND) {
    it(`MASK-11 ${JSON.stringify(text)}: a rule about predicates denies it`, async () => {
      const mark = await world.mark()
      const { outcomes } = await attack(world, 'strict', text, WAYS)
      expect(outcomes.filter(({ fate }) => fate !== 'denied')).toEqual([])
      expect(
        (await world.logSince(mark))
          .split('\n')
          .filter((line) => /from secret|pg_stat/i.test(line))
          .join('\n'),
      ).toBe('')
    })
  }

  it('MASK-11 without that rule the question is answered, with the values masked: masks alone are no boundary', async () => {
    const { wire, bytes } = await world.login('masked')
    const answer = await wire.query("select name, ssn from secret where ssn like '078%'")
    expect(answer.filter(({ type }) => type === 'D').map(cellsOf)).toEqual([['Ann', '[redacted]']])
    expect(leaks(bytes())).toEqual([])
    wire.close()
  })

  it("MASK-11 a plan's text, costs and statistics quote constants, not values", async () => {
    const { wire, bytes } = await world.login('masked')
    await world.truth('analyze secret')
    await wire.query('explain (analyze, verbose, buffers) select * from secret order by ssn')
    await wire.query('explain (format json) select ssn from secret where level = 7')
    await wire.query(
      "select attname, most_common_vals::text, histogram_bounds::text from pg_stats where tablename = 'secret'",
    )
    await wire.query("select stavalues1::text from pg_statistic where starelid = 'secret'::regclass")
    expect(leaks(bytes())).toEqual([])
    wire.close()
  })
})
