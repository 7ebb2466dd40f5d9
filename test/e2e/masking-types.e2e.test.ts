import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  ByteWriter,
  CELL_NULL,
  CELL_UNCHANGED,
  type CellMask,
  type MaskStrategy,
  Secret,
} from '../../src/core/index.js'
import { createMasking, DETECTOR_NAMES } from '../../src/masking/index.js'
import { type PostgresServer, startPostgres } from '../support/postgres.js'

/** A value of every type, as SQL. */
const VALUES: Record<string, string> = {
  bool: 'true',
  bytea: "'\\x0102ff'::bytea",
  '"char"': '\'c\'::"char"',
  name: "'some_name'::name",
  int8: '-9007199254740993',
  int2: '-5',
  int4: '123456',
  text: 'E\'Ada "x" \\\\ {y}, é日本\'::text',
  oid: '4294967294::oid',
  json: `'{"a": [1, "x"]}'::json`,
  xml: "'<a>b</a>'::xml",
  point: "'(1,2)'::point",
  box: "'(1,2),(3,4)'::box",
  circle: "'<(1,2),3>'::circle",
  cidr: "'10.1.0.0/16'::cidr",
  float4: '0.1234567::float4',
  float8: '-2.25e10',
  macaddr8: "'08:00:2b:01:02:03:04:05'::macaddr8",
  money: "'12.34'::money",
  macaddr: "'08:00:2b:01:02:03'::macaddr",
  inet: "'2001:db8::1/64'::inet",
  bpchar: "'ab'::char(5)",
  varchar: "'abc'::varchar(4)",
  date: "'2024-02-29'::date",
  time: "'12:34:56.789'::time",
  timestamp: "'2024-02-29 12:34:56.789'::timestamp",
  timestamptz: "'infinity'::timestamptz",
  interval: "'1 mon 2 days 03:04:05'::interval",
  timetz: "'12:34:56+02'::timetz",
  bit: "B'10110'::bit(5)",
  varbit: "B'1011011101'::varbit",
  numeric: '-12345.6789',
  uuid: "'00112233-4455-6677-8899-aabbccddeeff'::uuid",
  jsonb: `'{"a": [1, "x"]}'::jsonb`,
  int4range: "'[1,5)'::int4range",
}

/** A constant that the type takes, where it takes any. */
const CONSTANTS: Record<string, string> = {
  bool: 'no',
  bytea: '\\xDEADBEEF',
  '"char"': 'q',
  int8: '-9223372036854775808',
  int2: '-32768',
  int4: '-2147483648',
  oid: '4294967295',
  json: '{"masked": true}',
  cidr: '192.168.0.0/16',
  float4: '1.25e-3',
  float8: '-1.5e300',
  macaddr8: '02:00:00:00:00:00:00:01',
  money: '-0.05',
  macaddr: '02:00:00:00:00:01',
  inet: '192.168.1.1/24',
  date: '1999-12-31',
  time: '23:59:59',
  timestamp: '1999-12-31T23:59:59',
  timestamptz: '1999-12-31 23:59:59Z',
  interval: '01:00:00',
  timetz: '23:59:59+00',
  bit: '101',
  varbit: '10101010101',
  numeric: '-1234567890123456789012345.000100',
  uuid: 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11',
  jsonb: '{"masked": [1, 2.50]}',
}

const STRATEGIES: MaskStrategy[] = [
  { kind: 'redact' },
  { kind: 'partial', keepFirst: 1, keepLast: 1 },
  { kind: 'hash' },
  { kind: 'null' },
  { kind: 'constant', value: 'anything & "else" \\ {}' },
]

const NO_REPLACEMENT = ['point', 'box', 'circle', 'int4range']

/** Types whose hash does not depend on the format. */
const SAME_HASH = [
  'int2',
  'int4',
  'int8',
  'oid',
  'float4',
  'float8',
  'uuid',
  'bytea',
  'json',
  'jsonb',
  'text',
  'varchar',
  'bpchar',
  'name',
]

const masking = createMasking({ key: new Secret(Buffer.alloc(32, 9)) })

let server: PostgresServer
let client: pg.Client

beforeAll(async () => {
  server = await startPostgres()
  client = new pg.Client({
    host: server.host,
    port: server.port,
    user: server.user,
    password: server.password,
    database: 'postgres',
  })
  await client.connect()
})

afterAll(async () => {
  await client?.end()
  await server?.stop()
})

/** A cell exactly as the server sends it. Binary ones through the type's own send function: pg's parser decodes them as text. */
async function cell(expression: string, format: 'text' | 'binary'): Promise<{ type: number; bytes: Buffer }> {
  const raw = { getTypeParser: () => (value: string) => value } as unknown as pg.CustomTypesConfig
  const result = await client.query({ text: `select ${expression} as value`, types: raw })
  const type = result.fields[0]?.dataTypeID ?? 0
  if (format === 'text') return { type, bytes: Buffer.from(result.rows[0].value as string) }
  const send = await client.query('select typsend::text as name from pg_type where oid = $1', [type])
  const sent = await client.query(`select encode(${send.rows[0].name}(${expression}), 'hex') as value`)
  return { type, bytes: Buffer.from(sent.rows[0].value as string, 'hex') }
}

function masked(mask: CellMask, bytes: Buffer): Buffer | null | undefined {
  const target = new ByteWriter()
  const written = mask.apply(bytes, 0, bytes.length, target)
  if (written === CELL_NULL) return null
  return written === CELL_UNCHANGED ? undefined : Buffer.from(target.view())
}

/** Sends the bytes as a parameter of that type: the server's own input function judges them. Returns what the server made of it. */
async function accepted(typeName: string, format: 'text' | 'binary', bytes: Buffer): Promise<string> {
  // pg sends Buffers in binary format and strings in text format.
  const result = await client.query({
    text: `select ($1::${typeName})::text as value`,
    values: [format === 'binary' ? bytes : bytes.toString()],
  })
  return result.rows[0].value
}

function columnMask(type: number, format: 'text' | 'binary', strategy: MaskStrategy): CellMask {
  const plan = masking
    .compile({ columns: [{ column: 'v', strategy }], detectors: [] }, 'postgres')
    .planRows([{ name: 'v', type, format, origin: { schema: 's', table: 't', column: 'v' }, sources: [] }])
  return plan?.[0] as CellMask
}

describe('every replacement is accepted by the server', () => {
  for (const [typeName, expression] of Object.entries(VALUES)) {
    for (const format of ['text', 'binary'] as const) {
      it(`MASK-14 ${typeName} in ${format}`, async () => {
        const { type, bytes } = await cell(`(${expression})::${typeName}`, format)
        const constant = CONSTANTS[typeName]
        const strategies =
          constant === undefined ? STRATEGIES : [...STRATEGIES, { kind: 'constant', value: constant } as const]
        for (const strategy of strategies) {
          const replacement = masked(columnMask(type, format, strategy), bytes)
          expect(replacement, `${typeName} ${strategy.kind} must not stay as it is`).not.toBeUndefined()
          const isNullExpected = strategy.kind === 'null' || NO_REPLACEMENT.includes(typeName)
          if (isNullExpected) expect(replacement).toBeNull()
          if (!isNullExpected && strategy.kind !== 'constant')
            expect(replacement, `${typeName} ${strategy.kind}`).not.toBeNull()
          if (strategy.kind === 'constant' && strategy.value === constant)
            expect(replacement, `${typeName} constant`).not.toBeNull()
          if (replacement) {
            expect(replacement.equals(bytes), `${typeName} ${strategy.kind} is another value`).toBe(false)
            await accepted(typeName, format, replacement)
          }
        }
      })

      it(`MASK-14 ${typeName}[] in ${format}, with NULLs and two dimensions`, async () => {
        const value = `(${expression})::${typeName}`
        const arrays = [`array[${value}, null, ${value}]`, `array[array[${value}], array[null::${typeName}]]`, "'{}'"]
        for (const array of arrays) {
          const { type, bytes } = await cell(`(${array})::${typeName}[]`, format)
          for (const strategy of STRATEGIES) {
            const replacement = masked(columnMask(type, format, strategy), bytes)
            if (replacement === undefined) continue
            if (replacement === null) {
              const isExpected = ['null', 'constant'].includes(strategy.kind) || NO_REPLACEMENT.includes(typeName)
              expect(isExpected, `${typeName}[] ${strategy.kind} can be rebuilt`).toBe(true)
              continue
            }
            await accepted(`${typeName}[]`, format, replacement)
          }
        }
      })
    }
  }

  it('a text and a binary replacement are the same value', async () => {
    for (const [typeName, expression] of Object.entries(VALUES)) {
      const constant = CONSTANTS[typeName]
      const strategies: MaskStrategy[] = [
        { kind: 'redact' },
        ...(constant === undefined ? [] : [{ kind: 'constant', value: constant } as const]),
      ]
      if (SAME_HASH.includes(typeName)) strategies.push({ kind: 'hash' })
      for (const strategy of strategies) {
        const seen = []
        for (const format of ['text', 'binary'] as const) {
          const { type, bytes } = await cell(`(${expression})::${typeName}`, format)
          const replacement = masked(columnMask(type, format, strategy), bytes)
          seen.push(replacement ? await accepted(typeName, format, replacement) : null)
        }
        expect(seen[0], `${typeName} ${strategy.kind}`).toBe(seen[1])
      }
    }
  })

  it('MASK-14 detected values in every type that can carry them leave a valid value', async () => {
    const email = 'ada@example.com'
    const values: Record<string, string> = {
      text: `'mail ${email}'::text`,
      name: `'${email}'::name`,
      varchar: `'${email}'::varchar`,
      bpchar: `'${email}'::char(40)`,
      json: `'{"${email}": ["\\u0034111111111111111", 4111111111111111, "${email}"]}'::json`,
      jsonb: `'{"${email}": ["\\u0034111111111111111", 4111111111111111, "${email}"]}'::jsonb`,
      xml: `'<a href="mailto:${email}">${email}</a>'::xml`,
      int8: '4111111111111111',
      numeric: '4111111111111111.0',
      float8: '4111111111111111',
      'text[]': `array['x', '${email}', null, E'a "4111 1111 1111 1111" \\\\']::text[]`,
      'jsonb[]': `array['{"a": "${email}"}', null]::jsonb[]`,
      'int8[]': 'array[1, 4111111111111111]::int8[]',
      'numeric[]': 'array[1, 4111111111111111]::numeric[]',
    }
    for (const [typeName, expression] of Object.entries(values)) {
      for (const format of ['text', 'binary'] as const) {
        for (const strategy of STRATEGIES) {
          const set = { columns: [], detectors: DETECTOR_NAMES.map((detector) => ({ detector, strategy })) }
          const { type, bytes } = await cell(`(${expression})::${typeName}`, format)
          const mask = masking.compile(set, 'postgres').planRows([{ name: 'v', type, format, sources: [] }])?.[0]
          const replacement = masked(mask as CellMask, bytes)
          expect(replacement, `${typeName} ${format} ${strategy.kind}`).not.toBeUndefined()
          if (!replacement) continue
          const value = await accepted(typeName, format, replacement)
          expect(value).not.toContain(email)
          expect(value).not.toContain('4111111111111111')
        }
      }
    }
  })
})
