import { createHash, randomBytes } from 'node:crypto'
import pg from 'pg'
import { Secret, type Subject } from '../../../src/core/index.js'
import { staticUsers } from '../../../src/identity/index.js'
import type { Rule } from '../../../src/policy/index.js'
import * as m from '../../../src/protocols/postgres/messages.js'
import { makeScramVerifier } from '../../../src/protocols/postgres/index.js'
import { startGateway, type TestGateway, type TestGatewayOptions } from '../../support/gateway.js'
import { type PostgresServer, startPostgres } from '../../support/postgres.js'
import { bind, errorFields, execute, Wire, type WireMessage } from '../../support/wire.js'

/** What must never be seen. Values that look like what they are, and one that looks like nothing at all. */
export const VALUES = [
  '078-05-1120',
  '219-64-1234',
  'ann.oakley@example.com',
  'bo.diddley@example.org',
  '4111111111111111',
  '5500005555555559',
  'squeamish ossifrage',
] as const

const SCHEMA = `
  create table public.item (id int primary key, label text, price numeric);
  insert into item values (1, 'pen', 1.50), (2, 'ink', 12.00), (3, 'nib', 0.20);
  create table public.users (id int primary key, nick text);
  insert into users values (1, 'ann'), (2, 'bo');
  create table public.secret (name text, ssn text, email text, card text, note text, level int);
  insert into secret values
    ('Ann', '${VALUES[0]}', '${VALUES[2]}', '${VALUES[4]}', '${VALUES[6]}', 7),
    ('Bo', '${VALUES[1]}', '${VALUES[3]}', '${VALUES[5]}', 'tacit ${VALUES[6]}', 9);
  create unique index secret_ssn on secret (ssn);
  create table public.plain (note text);
  create table public.trace (note text);
  create sequence public.counter;
`

/** Who is let in; their password is their name. What each may do is in {@link RULES}. */
const SUBJECTS: readonly Subject[] = [
  { id: 'wide', type: 'human', groups: ['staff'] },
  { id: 'narrow', type: 'agent', groups: ['agents'] },
  { id: 'masked', type: 'agent', groups: ['agents'] },
  { id: 'strict', type: 'agent', groups: ['agents'] },
  { id: 'clerk', type: 'human', groups: ['staff'] },
  { id: 'pinned', type: 'agent', groups: ['agents'] },
]

const HAZARDS = ['dynamic-sql', 'file', 'program', 'network', 'admin', 'large-object', 'sleep', 'lock'] as const

/** Secret columns masked on every channel. */
export const MASKS = {
  columns: ['secret.ssn', 'secret.email', 'secret.card', 'secret.note'],
  detectors: ['us-ssn', 'email', 'card'],
}

/** A policy as somebody would write it who has thought of the threats, for five kinds of user. */
export const RULES: readonly Rule[] = [
  // Nearly everything but the one table: the facts must never leave a use of it out.
  {
    id: 'wide-allow',
    effect: 'allow',
    match: { subjects: 'wide', classes: ['read', 'transaction', 'session', 'write', 'ddl', 'procedural'] },
  },
  { id: 'wide-no-secret', effect: 'deny', match: { subjects: 'wide', tables: 'secret' }, message: 'not this table' },
  // Only what is named.
  {
    id: 'narrow-read',
    effect: 'allow',
    match: {
      subjects: 'narrow',
      classes: ['read', 'session'],
      tables: [{ tables: ['item', 'users'], access: 'read' }],
    },
  },
  {
    id: 'narrow-no-table',
    effect: 'allow',
    match: { subjects: 'narrow', classes: ['read', 'transaction', 'session'], not: { tables: '*' } },
  },
  // Everything, masked: what remains is the masking layer's work alone.
  {
    id: 'masked-allow',
    effect: 'allow',
    match: { subjects: 'masked', classes: ['read', 'transaction', 'session', 'write', 'ddl'] },
    mask: MASKS,
    recordLevel: 'full',
  },
  // Masks paired with the rules that the documentation asks for.
  {
    id: 'strict-allow',
    effect: 'allow',
    match: { subjects: 'strict', classes: ['read', 'transaction', 'session', 'write', 'ddl'] },
    mask: MASKS,
  },
  {
    id: 'strict-no-laundering',
    effect: 'deny',
    match: { subjects: 'strict', launders: ['secret.ssn', 'secret.email', 'secret.card', 'secret.note'] },
    message: 'these values stay where they are',
  },
  {
    id: 'strict-no-predicates',
    effect: 'deny',
    match: {
      subjects: 'strict',
      columns: [{ columns: ['secret.ssn', 'secret.email', 'secret.card', 'secret.note'], access: 'predicate' }],
    },
    message: 'these columns cannot be asked about',
  },
  {
    id: 'strict-no-code',
    effect: 'deny',
    match: { subjects: 'strict', verbs: ['create function', 'create procedure', 'create trigger'] },
    message: 'nobody can see what code of the server does',
  },
  {
    id: 'strict-no-plans',
    effect: 'deny',
    match: { subjects: 'strict', tables: ['pg_stats', 'pg_statistic', 'pg_stats_ext*', 'pg_statistic_ext_data'] },
  },
  {
    id: 'clerk-read',
    effect: 'allow',
    match: { subjects: 'clerk', classes: ['read', 'session', 'transaction', 'ddl'] },
  },
  {
    id: 'clerk-writes-wait',
    effect: 'hold',
    match: { subjects: 'clerk', classes: 'write' },
    hold: { timeoutMs: 5_000 },
  },
  {
    id: 'pinned-read',
    effect: 'allow',
    match: { subjects: 'pinned', classes: ['read', 'session'], tables: [{ tables: 'public.item', access: 'read' }] },
  },
  {
    id: 'pinned-no-table',
    effect: 'allow',
    match: { subjects: 'pinned', classes: ['read', 'transaction', 'session'], not: { tables: '*' } },
  },
  // For all.
  { id: 'all-no-mass-writes', effect: 'deny', match: { missingWhere: true }, message: 'a WHERE clause is missing' },
  { id: 'all-no-hazards', effect: 'deny', match: { functionHazards: HAZARDS } },
  { id: 'all-no-dynamic', effect: 'deny', match: { isDynamic: true } },
  { id: 'all-no-files', effect: 'deny', match: { touchesFiles: true } },
  { id: 'all-no-programs', effect: 'deny', match: { touchesPrograms: true } },
  {
    id: 'all-no-identity-change',
    effect: 'deny',
    match: { classes: 'dcl', not: { classes: ['unknown', 'write', 'ddl'] } },
    message: 'roles and rights stay as they are',
  },
]

export interface World extends TestGateway {
  readonly server: PostgresServer
  login(user: string, parameters?: readonly (readonly [string, string])[]): Promise<Tapped>
  direct(): Promise<Tapped>
  /** Rows of a query that is asked past the gateway. */
  truth(text: string): Promise<unknown[][]>
  /** What the server has logged since, this function's own line apart. */
  logSince(mark: string): Promise<string>
  mark(): Promise<string>
}

/** A client of which every byte that reaches it is kept. */
export interface Tapped {
  readonly wire: Wire
  bytes(): Buffer
}

export function tap(wire: Wire): Tapped {
  const chunks: Buffer[] = []
  wire.socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  return { wire, bytes: () => Buffer.concat(chunks) }
}

/** Server, gateway and users of the threat tests. The server logs each message that runs a statement. */
export async function startWorld(
  options: Partial<Omit<TestGatewayOptions, 'server'>> & { readonly sql?: string } = {},
): Promise<World> {
  const server = await startPostgres({
    sql: SCHEMA + (options.sql ?? ''),
    settings: { log_statement: 'all', log_min_duration_statement: '0', log_line_prefix: '' },
  })
  const gateway = await startGateway({
    server,
    rules: RULES,
    identity: staticUsers({
      users: SUBJECTS.map((subject) => ({
        user: subject.id,
        subject,
        verifier: makeScramVerifier(new Secret(subject.id), randomBytes(16), 4096),
      })),
      random: randomBytes,
    }),
    limits: { maxConnectsPerSecond: 10_000 },
    ...options,
  })
  const own = new pg.Client({ host: server.socketDir, port: server.port, user: server.user, database: 'postgres' })
  await own.connect()
  let marks = 0
  const mark = async (): Promise<string> => {
    const name = `log-mark-${++marks}-`
    await own.query(`select '${name}'`)
    const deadline = Date.now() + 5_000
    while (!server.log().includes(name) && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5))
    return name
  }
  return {
    ...gateway,
    server,
    login: async (user, parameters) =>
      tap(
        await Wire.login({
          port: gateway.port,
          user,
          password: user,
          database: 'postgres',
          ...(parameters && { parameters }),
        }),
      ),
    direct: async () =>
      tap(await Wire.login({ port: server.port, user: server.user, password: server.password, database: 'postgres' })),
    truth: async (text) => (await own.query({ text, rowMode: 'array' })).rows as unknown[][],
    mark,
    logSince: async (name) => {
      const end = await mark()
      const log = server.log()
      return log.slice(log.indexOf('\n', log.lastIndexOf(name)), log.lastIndexOf('\n', log.indexOf(end)))
    },
    stop: async () => {
      await own.end()
      await gateway.stop()
      await server.stop()
    },
  }
}

const DIGIT_WORDS = 'abcdefghij'

/** A value as it could be smuggled out: the shapes that a client could turn back without trying. */
export function disguises(value: string): string[] {
  const bytes = Buffer.from(value)
  const digits = value.replace(/\D/g, '')
  const list = [
    value,
    value.toUpperCase(),
    [...value].reverse().join(''),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
    bytes.toString('base64').replace(/=+$/, ''),
    [...value].join(' '),
    [...value].join(','),
    [...value].map((character) => String(character.charCodeAt(0))).join(','),
    [...value].map((character) => String(character.charCodeAt(0))).join(' '),
    value.replace(/\d/g, (digit) => DIGIT_WORDS[Number(digit)] as string),
    ...['md5', 'sha256', 'sha512'].map((name) => createHash(name).update(value).digest('hex')),
    [...value].map((character) => character.charCodeAt(0).toString(2).padStart(8, '0')).join(''),
    encodeURIComponent(value),
  ]
  if (digits.length >= 9) list.push(digits, [...digits].reverse().join(''))
  return [...new Set(list)]
}

const NEEDLES = VALUES.flatMap((value) => disguises(value).map((form) => ({ value, form, bytes: Buffer.from(form) })))
const RAW_NEEDLES = VALUES.flatMap((value) =>
  ['sha256', 'md5'].map((name) => ({ value, form: `raw ${name}`, bytes: createHash(name).update(value).digest() })),
)

/** The forms of values found in these bytes. Empty: nothing has leaked. */
export function leaks(bytes: Buffer): string[] {
  return [...NEEDLES, ...RAW_NEEDLES].filter((needle) => bytes.includes(needle.bytes)).map(({ form }) => form)
}

export type Fate = 'denied' | 'ran' | 'error' | 'closed'

export interface Outcome {
  readonly way: string
  readonly fate: Fate
  /** For denials: the reason the client was told. */
  readonly why: string
}

/** What became of a command, as its answer tells. */
export function fateOf(answer: readonly WireMessage[]): { fate: Fate; why: string } {
  const error = answer.find((message) => message.type === 'E')
  if (error === undefined) return { fate: 'ran', why: '' }
  const fields = errorFields(error)
  const isOurs = (fields['D'] ?? '').startsWith('Refused by sallyport')
  return { fate: isOurs ? 'denied' : 'error', why: `${fields['C']} ${fields['M']} ${fields['D'] ?? ''}` }
}

type Script = (tapped: Tapped, text: string) => Promise<WireMessage[]>

const quoted = (text: string): string => `$quoted$${text}$quoted$`

/** The ways in which a query can be sent. */
export const WAYS: Readonly<Record<string, Script>> = {
  simple: ({ wire }, text) => wire.query(text),
  extended: ({ wire }, text) => {
    wire.send(m.parse('', text), bind('', ''), m.describe('P', ''), execute(''), m.sync())
    return wire.until('Z')
  },
  'named, in steps': async ({ wire }, text) => {
    const answers: WireMessage[] = []
    wire.send(m.parse('st', text), m.describe('S', 'st'), m.sync())
    answers.push(...(await wire.until('Z')))
    wire.send(bind('po', 'st'), m.sync())
    answers.push(...(await wire.until('Z')))
    wire.send(
      bind('po', 'st'),
      execute('po', 1),
      execute('po', 1),
      execute('po', 0),
      m.closeMessage('S', 'st'),
      m.sync(),
    )
    answers.push(...(await wire.until('Z')))
    return answers
  },
  blind: ({ wire }, text) => {
    wire.send(m.parse('', text), bind('', ''), execute(''), m.sync())
    return wire.until('Z')
  },
  binary: ({ wire }, text) => {
    wire.send(m.parse('', text), bind('', '', [], [1]), m.describe('P', ''), execute(''), m.sync())
    return wire.until('Z')
  },
  'binary, blind': ({ wire }, text) => {
    wire.send(m.parse('', text), bind('', '', [], [1]), execute(''), m.sync())
    return wire.until('Z')
  },
}

/** The ways in which a query can be wrapped into other statements. */
export const WRAPPED: Readonly<Record<string, Script>> = {
  'PREPARE, EXECUTE': async ({ wire }, text) => [
    ...(await wire.query(`prepare pr as ${text}\n`)),
    ...(await wire.query('execute pr')),
    ...(await wire.query('deallocate pr')),
  ],
  'PREPARE, Bind': async ({ wire }, text) => {
    const answers = await wire.query(`prepare pb as ${text}\n`)
    wire.send(bind('', 'pb'), execute(''), m.sync())
    answers.push(...(await wire.until('Z')))
    return [...answers, ...(await wire.query('deallocate pb'))]
  },
  'Parse, EXECUTE': async ({ wire }, text) => {
    wire.send(m.parse('pe', text), m.sync())
    const answers = await wire.until('Z')
    return [...answers, ...(await wire.query('execute pe')), ...(await wire.query('deallocate pe'))]
  },
  'DECLARE, FETCH': async ({ wire }, text) => [
    ...(await wire.query('begin')),
    ...(await wire.query(`declare cu cursor for ${text}\n`)),
    ...(await wire.query('fetch all from cu')),
    ...(await wire.query('rollback')),
  ],
  'DECLARE WITH HOLD, FETCH later': async ({ wire }, text) => [
    ...(await wire.query(`declare ch cursor with hold for ${text}\n`)),
    ...(await wire.query('fetch 1 from ch')),
    ...(await wire.query('fetch all in ch')),
    ...(await wire.query('close ch')),
  ],
  'DECLARE, Execute': async ({ wire }, text) => {
    const answers = [...(await wire.query('begin')), ...(await wire.query(`declare ce cursor for ${text}\n`))]
    wire.send(execute('ce'), m.sync())
    answers.push(...(await wire.until('Z')))
    return [...answers, ...(await wire.query('rollback'))]
  },
  'DECLARE BINARY, FETCH': async ({ wire }, text) => [
    ...(await wire.query('begin')),
    ...(await wire.query(`declare cb binary cursor for ${text}\n`)),
    ...(await wire.query('fetch all from cb')),
    ...(await wire.query('rollback')),
  ],
  'COPY text': ({ wire }, text) => wire.query(`copy (${text}\n) to stdout`),
  'COPY csv': ({ wire }, text) => wire.query(`copy (${text}\n) to stdout with (format csv, header, force_quote *)`),
  'COPY binary': ({ wire }, text) => wire.query(`copy (${text}\n) to stdout with (format binary)`),
  'EXPLAIN ANALYZE': ({ wire }, text) => wire.query(`explain (analyze, verbose, settings) ${text}\n`),
  'EXPLAIN json': ({ wire }, text) => wire.query(`explain (verbose, format json) ${text}\n`),
  subquery: ({ wire }, text) => wire.query(`select q.* from (${text}\n) q`),
  CTE: ({ wire }, text) => wire.query(`with q as (${text}\n) select * from q`),
  'scalar subquery': ({ wire }, text) => wire.query(`select array(select q from (${text}\n) q)`),
  'row of subquery': ({ wire }, text) => wire.query(`select row_to_json(q) from (${text}\n) q`),
  EXISTS: ({ wire }, text) => wire.query(`select (select q::text from (${text}\n) q limit 1)`),
}

/** The ways in which a query's rows can be put where they can be read later. */
export const LAUNDRIES: Readonly<Record<string, Script>> = {
  'CREATE TABLE AS': async ({ wire }, text) => [
    ...(await wire.query('drop table if exists wash1')),
    ...(await wire.query(`create table wash1 as ${text}\n`)),
    ...(await wire.query('select * from wash1')),
  ],
  'SELECT INTO': async ({ wire }, text) => [
    ...(await wire.query('drop table if exists wash2')),
    ...(await wire.query(`select * into temp wash2 from (${text}\n) q`)),
    ...(await wire.query('select * from wash2')),
  ],
  'temp view': async ({ wire }, text) => [
    ...(await wire.query(`create or replace temp view wash3 as ${text}\n`)),
    ...(await wire.query('select * from wash3')),
    ...(await wire.query('drop view if exists wash3')),
  ],
  'materialized view': async ({ wire }, text) => [
    ...(await wire.query('drop materialized view if exists wash4')),
    ...(await wire.query(`create materialized view wash4 as ${text}\n`)),
    ...(await wire.query('select * from wash4')),
  ],
  'materialized view, filled later': async ({ wire }, text) => [
    ...(await wire.query('drop materialized view if exists wash5')),
    ...(await wire.query(`create materialized view wash5 as ${text}\nwith no data`)),
    ...(await wire.query('refresh materialized view wash5')),
    ...(await wire.query('select * from wash5')),
  ],
  'CTAS EXECUTE': async ({ wire }, text) => [
    ...(await wire.query('drop table if exists wash6')),
    ...(await wire.query(`prepare wp as ${text}\n`)),
    ...(await wire.query('create table wash6 as execute wp')),
    ...(await wire.query('select * from wash6')),
    ...(await wire.query('deallocate wp')),
  ],
  'EXPLAIN ANALYZE CTAS': async ({ wire }, text) => [
    ...(await wire.query('drop table if exists wash7')),
    ...(await wire.query(`explain analyze create table wash7 as ${text}\n`)),
    ...(await wire.query('select * from wash7')),
  ],
  'INSERT SELECT': async ({ wire }, text) => [
    ...(await wire.query(`insert into trace select q::text from (${text}\n) q`)),
    ...(await wire.query('select * from trace')),
  ],
  'INSERT RETURNING': ({ wire }, text) =>
    wire.query(`insert into trace select q::text from (${text}\n) q returning note`),
  'SQL function': async ({ wire }, text) => [
    ...(await wire.query(
      `create or replace function pg_temp.f1() returns setof text language sql as $f$ select q::text from (${text}\n) q $f$`,
    )),
    ...(await wire.query('select pg_temp.f1()')),
  ],
  'SQL-standard function': async ({ wire }, text) => [
    ...(await wire.query(
      `create or replace function f2() returns setof text language sql begin atomic select q::text from (${text}\n) q; end`,
    )),
    ...(await wire.query('select f2()')),
    ...(await wire.query('drop function if exists f2')),
  ],
  'PL/pgSQL function': async ({ wire }, text) => [
    ...(await wire.query(
      `create or replace function pg_temp.f3() returns setof text language plpgsql as $f$ begin return query execute ${quoted(`select q::text from (${text}\n) q`)}; end $f$`,
    )),
    ...(await wire.query('select pg_temp.f3()')),
  ],
  'DO, RAISE': ({ wire }, text) =>
    wire.query(
      `do $do$ declare t text; begin for t in execute ${quoted(`select q::text from (${text}\n) q`)} loop raise notice '%', t; end loop; end $do$`,
    ),
  query_to_xml: ({ wire }, text) => wire.query(`select query_to_xml(${quoted(text)}, true, true, '')`),
  'PL/pgSQL procedure': async ({ wire }, text) => [
    ...(await wire.query(
      `create or replace procedure pg_temp.p1() language plpgsql as $f$ declare t text; begin for t in execute ${quoted(`select q::text from (${text}\n) q`)} loop raise notice '%', t; end loop; end $f$`,
    )),
    ...(await wire.query('call pg_temp.p1()')),
  ],
  rule: async ({ wire }, text) => [
    ...(await wire.query(
      `create or replace rule peek as on insert to plain do also insert into trace select q::text from (${text}\n) q`,
    )),
    ...(await wire.query("insert into plain values ('x')")),
    ...(await wire.query('select * from trace')),
    ...(await wire.query('drop rule if exists peek on plain')),
  ],
  'column default': async ({ wire }, text) => [
    ...(await wire.query(
      `create or replace function pg_temp.f4() returns text language sql as $f$ select string_agg(q::text, '') from (${text}\n) q $f$`,
    )),
    ...(await wire.query('create temp table dflt (a int, b text default pg_temp.f4())')),
    ...(await wire.query('insert into dflt (a) values (1) returning *')),
    ...(await wire.query('drop table if exists dflt')),
  ],
}

/**
 * Sends a text in all of these ways as one user.
 *
 * @returns what became of each, and every byte that came back
 */
export async function attack(
  world: World,
  user: string,
  text: string,
  ways: Readonly<Record<string, Script>>,
): Promise<{ outcomes: Outcome[]; bytes: Buffer }> {
  const outcomes: Outcome[] = []
  const all: Buffer[] = []
  let tapped: Tapped | undefined
  for (const [way, script] of Object.entries(ways)) {
    if (tapped === undefined || tapped.wire.isClosed) {
      if (tapped !== undefined) all.push(tapped.bytes())
      tapped = user === 'direct' ? await world.direct() : await world.login(user)
    }
    try {
      const answer = await script(tapped, text)
      // Of several steps the first refusal tells.
      outcomes.push({ way, ...fateOf(answer) })
      if (answer.at(-1)?.body.toString() !== 'I') await tapped.wire.query('rollback')
    } catch (error) {
      if (!tapped.wire.isClosed) throw new Error(`${way}: ${String(error)}`, { cause: error })
      outcomes.push({ way, fate: 'closed', why: String(error) })
    }
  }
  if (tapped !== undefined) {
    all.push(tapped.bytes())
    tapped.wire.close()
  }
  return { outcomes, bytes: Buffer.concat(all) }
}
