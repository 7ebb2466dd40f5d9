import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CELL_UNCHANGED, type CellMask, Secret } from '../../src/core/index.js'
import { decodeAuthentication, decodeErrorFields, decodeRowDescription } from '../../src/protocols/postgres/backend.js'
import { createCopyMasker } from '../../src/protocols/postgres/copy-rows.js'
import { md5Response } from '../../src/protocols/postgres/md5.js'
import { Backend } from '../../src/protocols/postgres/message-types.js'
import {
  describe as describeMessage,
  parse,
  passwordMessage,
  query,
  saslInitialResponse,
  saslResponse,
  sslRequest,
  startupMessage,
  sync,
} from '../../src/protocols/postgres/messages.js'
import {
  formatScramSecret,
  makeScramVerifier,
  ScramClient,
  type ScramMechanism,
} from '../../src/protocols/postgres/scram.js'
import { parseOptions } from '../../src/protocols/postgres/startup.js'
import { type PostgresServer, startPostgres } from '../support/postgres.js'

/** Passwords that SASLprep leaves, changes, and forbids. */
const PASSWORDS = {
  plain: 'pencil',
  mapped: 'p\u00ad\u2168\u00a0x',
  forbidden: '\u00aa\u{1f600}',
  mixed: '\u0627\u00aa1',
}

const NASTY = ['a\tb', 'a\\b', '\\.', '\\N', '', 'a"b', "a'b", 'a,b', 'a\nb', 'a\r\nb', '\b\f\v', 'NULL', 'é', '"', 'k']

let server: PostgresServer

beforeAll(async () => {
  const directory = mkdtempSync(join(tmpdir(), 'certificate-'))
  const key = join(directory, 'key')
  const cert = join(directory, 'cert')
  const common = ['req', '-x509', '-nodes', '-subj', '/CN=localhost', '-days', '1', '-newkey', 'rsa:2048', '-sha384']
  execFileSync('openssl', [...common, '-keyout', key, '-out', cert], { stdio: 'ignore' })
  const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`
  const ownSecret = formatScramSecret(makeScramVerifier(new Secret('own secret'), randomBytes(16), 5000))
  server = await startPostgres({
    ssl: { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') },
    hba: ['host all digest all md5', 'host all clear all password', 'host all all all scram-sha-256'],
    sql: [
      ...Object.entries(PASSWORDS).map(([user, password]) => `create role ${user} login password ${quote(password)};`),
      `create role own login password '${ownSecret}';`,
      "set password_encryption = 'md5'; create role digest login password 'geheim'; reset password_encryption;",
      "create role clear login password 'geheim';",
      'create table nasty (id int, value text, other text);',
      ...NASTY.map((value, id) => `insert into nasty values (${id}, ${quote(value)}, ${quote(value)});`),
      "insert into nasty values (99, null, 'null'), (98, 'x', null);",
      'create table only_value as select value from nasty; create table no_columns (); insert into no_columns default values;',
    ].join('\n'),
  })
  rmSync(directory, { recursive: true })
})

afterAll(async () => {
  await server.stop()
})

/** Just enough of a client: messages one after the other. */
class Wire {
  readonly #socket: Socket | TLSSocket
  readonly #chunks: AsyncIterator<Buffer>
  #bytes = Buffer.alloc(0)

  constructor(socket: Socket | TLSSocket) {
    this.#socket = socket
    this.#chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  }

  send(bytes: Buffer): void {
    this.#socket.write(bytes)
  }

  async receive(): Promise<{ type: number; bytes: Buffer }> {
    for (;;) {
      const length = this.#bytes.length < 5 ? Number.POSITIVE_INFINITY : this.#bytes.readInt32BE(1) + 1
      if (this.#bytes.length >= length) {
        const bytes = this.#bytes.subarray(0, length)
        this.#bytes = this.#bytes.subarray(length)
        return { type: bytes[0] as number, bytes }
      }
      const next = await this.#chunks.next()
      if (next.done === true) throw new Error('the server closed the connection')
      this.#bytes = Buffer.concat([this.#bytes, next.value])
    }
  }

  /** Everything up to ReadyForQuery. */
  async receiveAll(): Promise<{ type: number; bytes: Buffer }[]> {
    const messages = []
    for (;;) {
      const message = await this.receive()
      messages.push(message)
      if (message.type === Backend.ReadyForQuery) return messages
    }
  }

  close(): void {
    this.#socket.destroy()
  }
}

async function open(withTls: boolean): Promise<{ wire: Wire; certificate: Uint8Array | undefined }> {
  const socket = connect(server.port, server.host)
  if (!withTls) return { wire: new Wire(socket), certificate: undefined }
  socket.write(sslRequest())
  await new Promise((resolve) => socket.once('readable', resolve))
  expect((socket.read() as Buffer).toString()).toBe('S')
  const secured = connectTls({ socket, rejectUnauthorized: false })
  await new Promise((resolve) => secured.once('secureConnect', resolve))
  return { wire: new Wire(secured), certificate: secured.getPeerX509Certificate()?.raw }
}

interface LogIn {
  readonly user: string
  readonly password: string
  readonly withTls?: boolean
  readonly mechanism?: ScramMechanism
  /** What the client is made to believe the server offers. */
  readonly offered?: readonly string[]
}

/** Logs in and returns the connection, or the SQLSTATE of the refusal. */
async function logIn(options: LogIn): Promise<Wire | string> {
  const { user, mechanism = 'SCRAM-SHA-256' } = options
  const password = new Secret(options.password)
  const { wire, certificate } = await open(options.withTls ?? false)
  wire.send(
    startupMessage(0, [
      ['user', user],
      ['database', 'postgres'],
      ['client_encoding', 'UTF8'],
    ]),
  )
  let scram: ScramClient | undefined
  for (;;) {
    const { type, bytes } = await wire.receive()
    if (type === Backend.ReadyForQuery) return wire
    if (type === Backend.ErrorResponse) {
      wire.close()
      return decodeErrorFields(bytes, 5, bytes.length)['C'] as string
    }
    if (type !== Backend.Authentication) continue
    const request = decodeAuthentication(bytes, 5, bytes.length)
    switch (request.kind) {
      case 'cleartext':
        wire.send(passwordMessage(password.expose()))
        break
      case 'md5':
        wire.send(passwordMessage(md5Response(user, password, request.salt)))
        break
      case 'sasl': {
        const offered = options.offered ?? request.mechanisms
        const peer = certificate === undefined ? {} : { peerCertificate: certificate }
        scram = new ScramClient({ mechanism, password, random: randomBytes, offered, ...peer })
        const first = scram.first()
        wire.send(saslInitialResponse(first.mechanism, first.data))
        break
      }
      case 'sasl-continue':
        wire.send(saslResponse((scram as ScramClient).continue(request.data)))
        break
      case 'sasl-final':
        ;(scram as ScramClient).final(request.data)
        break
      case 'ok':
        expect(scram?.isComplete ?? true).toBe(true)
        break
      case 'unsupported':
        throw new Error(`the server asks for method ${request.code}`)
    }
  }
}

async function connected(options: LogIn): Promise<Wire> {
  const wire = await logIn(options)
  if (typeof wire === 'string') throw new Error(`refused with ${wire}`)
  return wire
}

describe('logging in to a real server', () => {
  it.each(Object.entries(PASSWORDS))('takes SCRAM with a password that is %s', async (user, password) => {
    ;(await connected({ user, password })).close()
    expect(await logIn({ user, password: `${password}!` })).toBe('28P01')
  })

  it('PG-17 binds SCRAM to the TLS channel', async () => {
    const login = { user: 'plain', password: 'pencil', withTls: true }
    ;(await connected({ ...login, mechanism: 'SCRAM-SHA-256-PLUS' })).close()
    ;(await connected(login)).close()
  })

  it('PG-17 lets the server notice that somebody took its -PLUS offer away', async () => {
    const offered = ['SCRAM-SHA-256']
    expect(await logIn({ user: 'plain', password: 'pencil', withTls: true, offered })).toBe('28000')
  })

  it('makes verifiers that the server takes', async () => {
    ;(await connected({ user: 'own', password: 'own secret' })).close()
  })

  it('takes md5 and cleartext', async () => {
    ;(await connected({ user: 'digest', password: 'geheim' })).close()
    ;(await connected({ user: 'clear', password: 'geheim' })).close()
    expect(await logIn({ user: 'digest', password: 'falsch' })).toBe('28P01')
  })
})

describe('startup options', () => {
  it.each([
    '-c my.x=1',
    '-cmy.x=2',
    '--my.x=3',
    '-c my.x=1 -cMY.X=2',
    '\t-c  my.x=a\\ b\\\\c\\"d\n',
    '-c my.x=',
    '-c my.x=a=b',
    '--my.x-y=1 -c my.x=5',
    '-c my.x=1 --',
    '-c my.x',
    '--',
    '-c',
    'x',
    '\\',
    '-c my.x=1\\',
    '-c \\-c',
  ])('PG-15 %j is read as the server reads it', async (options) => {
    const { wire } = await open(false)
    wire.send(
      startupMessage(0, [
        ['user', 'clear'],
        ['database', 'postgres'],
        ['options', options],
      ]),
    )
    expect((await wire.receive()).type).toBe(Backend.Authentication)
    wire.send(passwordMessage('geheim'))
    let message = await wire.receive()
    while (message.type !== Backend.ReadyForQuery && message.type !== Backend.ErrorResponse)
      message = await wire.receive()
    const parsed = parseOptions(options)
    if (message.type === Backend.ErrorResponse) {
      expect(parsed).toHaveProperty('problem')
    } else if (!('problem' in parsed)) {
      wire.send(query("select current_setting('my.x', true)"))
      const row = (await wire.receiveAll()).find(({ type }) => type === Backend.DataRow)?.bytes as Buffer
      const value = row.readInt32BE(7) < 0 ? undefined : row.subarray(11).toString()
      expect(parsed.settings.get('my.x')).toBe(value)
    }
    wire.close()
  })
})

describe('what a real server sends', () => {
  it('is described as the decoder reads it', async () => {
    const wire = await connected({ user: 'postgres', password: server.password })
    wire.send(
      Buffer.concat([
        parse('', 'select id, value as "näme", 1.5::numeric(7,2) from nasty'),
        describeMessage('S', ''),
        sync(),
      ]),
    )
    const description = (await wire.receiveAll()).find((message) => message.type === Backend.RowDescription)
    wire.close()
    const bytes = (description as { bytes: Buffer }).bytes
    const columns = decodeRowDescription(bytes, 5, bytes.length)
    expect(columns.map((column) => [column.name, column.columnNumber, column.typeOid, column.format])).toEqual([
      ['id', 1, 23, 0],
      ['näme', 2, 25, 0],
      ['numeric', 0, 1700, 0],
    ])
    expect(columns[0]?.tableOid).toBe(columns[1]?.tableOid)
  })
})

/** The same in SQL: `'=' || reverse(value)`, NULL for `null`, values that begin with `k` as they are. */
const REVERSE: CellMask = {
  apply(source, start, end, target) {
    const text = Buffer.from(source.subarray(start, end)).toString('utf8')
    if (text.startsWith('k')) return CELL_UNCHANGED
    if (text === 'null') return -2
    const before = target.length
    target.utf8(`=${[...text].reverse().join('')}`)
    return target.length - before
  },
}
const REVERSED = "case when value like 'k%' then value when value = 'null' then null else '=' || reverse(value) end"

const KEEP: CellMask = { apply: () => CELL_UNCHANGED }

const STYLES = [
  { sql: '', format: 'text', delimiter: '\t', nullText: '\\N', quote: '"', escape: '"' },
  { sql: "delimiter '|', null ''", format: 'text', delimiter: '|', nullText: '', quote: '"', escape: '"' },
  { sql: 'header', format: 'text', delimiter: '\t', nullText: '\\N', quote: '"', escape: '"' },
  { sql: 'format csv', format: 'csv', delimiter: ',', nullText: '', quote: '"', escape: '"' },
  { sql: 'format csv, header, force_quote *', format: 'csv', delimiter: ',', nullText: '', quote: '"', escape: '"' },
  {
    sql: "format csv, delimiter ';', null 'NULL', quote '''', escape '\\'",
    format: 'csv',
    delimiter: ';',
    nullText: 'NULL',
    quote: "'",
    escape: '\\',
  },
  { sql: 'format binary', format: 'binary', delimiter: '\t', nullText: '\\N', quote: '"', escape: '"' },
] as const

function hasOptionalQuotes(style: (typeof STYLES)[number]): boolean {
  return style.format === 'csv' && !style.sql.includes('force_quote')
}

describe('COPY OUT of a real server', () => {
  async function copyOut(select: string, options: string): Promise<Buffer> {
    const wire = await connected({ user: 'postgres', password: server.password })
    wire.send(query(`copy (${select}) to stdout${options === '' ? '' : ` (${options})`}`))
    const data = (await wire.receiveAll()).filter((message) => message.type === Backend.CopyData)
    wire.close()
    return Buffer.concat(data.map((message) => message.bytes.subarray(5)))
  }

  function masked(
    style: (typeof STYLES)[number],
    plan: (CellMask | undefined)[],
    data: Buffer,
    chunkBytes: number,
  ): Buffer {
    const { sql, ...format } = style
    const masker = createCopyMasker({ ...format, header: sql.includes('header'), plan, maxRowBytes: 1000 })
    const pieces: Buffer[] = []
    for (let at = 0; at < data.length; at += chunkBytes) {
      pieces.push(Buffer.from(masker.push(Buffer.from(data.subarray(at, at + chunkBytes)))))
    }
    return Buffer.concat([...pieces, masker.end()])
  }

  /** The rows that the server reads out of data it is given. */
  async function readBack(columns: string, options: string, data: Buffer): Promise<string> {
    const wire = await connected({ user: 'postgres', password: server.password })
    wire.send(query(`create temp table back (${columns}); copy back from stdin (${options})`))
    while ((await wire.receive()).type !== Backend.CopyInResponse);
    const header = Buffer.from([0x64, 0, 0, 0, 0])
    header.writeInt32BE(data.length + 4, 1)
    wire.send(Buffer.concat([header, data, Buffer.from([0x63, 0, 0, 0, 4])]))
    const answers = await wire.receiveAll()
    expect(answers.map((message) => message.type)).not.toContain(Backend.ErrorResponse)
    wire.send(query('copy (select * from back) to stdout'))
    const rows = (await wire.receiveAll()).filter((message) => message.type === Backend.CopyData)
    wire.close()
    return Buffer.concat(rows.map((message) => message.bytes.subarray(5))).toString()
  }

  /** What SQL makes of a value where the mask sees `style`: an empty text that marks NULL is taken for NULL. */
  function reversed(style: (typeof STYLES)[number]): string {
    return style.format === 'text' && style.nullText === ''
      ? `case when value = '' then null else ${REVERSED} end as value`
      : `${REVERSED} as value`
  }

  it.each(STYLES)('PG-10 MASK-14 is what the server would have written: $format $sql', async (style) => {
    const plain = await copyOut('select id, value, other from nasty order by id', style.sql)
    const expected = await copyOut(`select id, ${reversed(style)}, other from nasty order by id`, style.sql)
    for (const chunkBytes of [1, 7, 1000, plain.length]) {
      expect(masked(style, [KEEP, KEEP, KEEP], plain, chunkBytes)).toEqual(plain)
      const data = masked(style, [undefined, REVERSE, undefined], plain, chunkBytes)
      if (hasOptionalQuotes(style)) continue
      expect(data).toEqual(expected)
    }
    if (!hasOptionalQuotes(style)) return
    // Cells in quotes stay in quotes, whether they still need them or not: the meaning is what counts.
    const columns = 'id int, value text, other text'
    const data = masked(style, [undefined, REVERSE, undefined], plain, 1)
    expect(await readBack(columns, style.sql, data)).toBe(await readBack(columns, style.sql, expected))
  })

  it.each(STYLES)('PG-10 is masked with one column, and with none: $format $sql', async (style) => {
    const plain = await copyOut('select value from only_value', style.sql)
    const expected = await copyOut(`select ${reversed(style)} from only_value`, style.sql)
    const data = masked(style, [REVERSE], plain, 3)
    if (hasOptionalQuotes(style)) {
      expect(await readBack('value text', style.sql, data)).toBe(await readBack('value text', style.sql, expected))
    } else {
      expect(data).toEqual(expected)
    }
    const empty = await copyOut('select from no_columns', style.sql)
    expect(masked(style, [], empty, 3)).toEqual(empty)
  })
})
