import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import postgresJs from 'postgres'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { runCli } from '../../../src/cli/run.js'
import type { Durability } from '../../../src/recording/index.js'
import { AGENT } from '../../support/gateway.js'
import { type PostgresServer, startPostgres } from '../../support/postgres.js'
import { recordedLines, recordingFiles, startRecordingGateway } from '../../support/recordings.js'

let server: PostgresServer
let folder: string

beforeAll(async () => {
  server = await startPostgres({ settings: { log_statement: 'all', log_min_messages: 'warning' } })
})
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sallyport-crash-'))
  return () => rmSync(folder, { recursive: true, force: true })
})
afterAll(() => server?.stop())

const TAG = /<([\w-]+)>/g

/** Every tag in a text. A tag names one statement of one client of one round. */
function tagsOf(text: string): Set<string> {
  return new Set([...text.matchAll(TAG)].map(([, tag]) => tag ?? ''))
}

const missingFrom = (all: Set<string>, some: Iterable<string>): string[] => [...some].filter((tag) => !all.has(tag))

interface Traffic {
  /** Tags of statements that a client got an answer for. */
  readonly answered: Set<string>
  readonly done: Promise<unknown>
}

/** Clients of three kinds that ask one thing after the other until their connection breaks. */
function startTraffic(port: number, round: string): Traffic {
  const answered = new Set<string>()
  const work = async (client: string, ask: (tag: string) => Promise<unknown>): Promise<void> => {
    for (let i = 0; ; i++) {
      const tag = `${round}-${client}-${i}`
      try {
        await ask(tag)
      } catch (error) {
        // A refusal, or an error of the server, is an answer too; a broken connection is none.
        if (!/^(42501|22012)$/.test((error as { code?: string }).code ?? '')) return
      }
      answered.add(tag)
    }
  }
  const login = { host: '127.0.0.1', port, ...AGENT, database: 'postgres' }
  const withPg = async (client: string, ask: (connection: pg.Client, tag: string, i: number) => Promise<unknown>) => {
    const connection = new pg.Client(login)
    connection.on('error', () => undefined)
    await connection.connect()
    let i = 0
    await work(client, (tag) => ask(connection, tag, i++))
    connection.end().catch(() => undefined)
  }
  const sql = postgresJs({ ...login, max: 2, fetch_types: false, onnotice: () => undefined })
  const done = Promise.allSettled([
    withPg('simple', (client, tag) => client.query(`select '<${tag}>'`)),
    withPg('refused', (client, tag, i) =>
      client.query(i % 2 === 0 ? `select '<${tag}> forbidden'` : `select '<${tag}>'`),
    ),
    withPg('failing', (client, tag) => client.query(`select 1 / 0, '<${tag}>'`)),
    withPg('values', (client, tag) => client.query('select $1::text', [`<${tag}>`])),
    withPg('named', (client, tag) => client.query({ name: 'n', text: 'select $1::text', values: [`<${tag}>`] })),
    withPg('large', (client, tag) => client.query(`select length('<${tag}>${'x'.repeat(2_000)}')`)),
    work('pipelined-a', (tag) => sql`select ${`<${tag}>`}::text`),
    work('pipelined-b', (tag) => sql`select ${`<${tag}>`}::text`),
  ])
  return { answered, done: done.then(() => sql.end({ timeout: 0 }).catch(() => undefined)) }
}

/** Tags of the commands on record. */
function recordedTags(directory: string, mayBeTorn = false): Set<string> {
  const found = new Set<string>()
  for (const file of recordingFiles(directory)) {
    for (const line of recordedLines(file, mayBeTorn)) {
      if (line.type !== 'command') continue
      for (const tag of tagsOf(JSON.stringify([line['text'], line['parameters']]))) found.add(tag)
    }
  }
  return found
}

/** Runs the command line tool. */
async function cli(...args: string[]): Promise<{ code: number; out: string }> {
  let out = ''
  const code = await runCli(args, 'test', {
    stdin: (async function* () {})(),
    out: async (text) => void (out += text),
    wait: async () => undefined,
    error: (line) => void (out += `${line}\n`),
  })
  return { code, out }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

interface Crashes {
  /** Tags of statements that a client got an answer for. */
  readonly answered: Set<string>
  /** Those of them that were answered well before the process was killed. */
  readonly answeredEarly: Set<string>
  readonly reachedServer: Set<string>
}

async function crash(durability: Durability, rounds: number): Promise<Crashes> {
  const answered = new Set<string>()
  const answeredEarly = new Set<string>()
  const reachedServer = new Set<string>()
  for (let i = 0; i < rounds; i++) {
    const gateway = await startRecordingGateway({ server, directory: folder, durability })
    // What the crash before left open was sealed when this one started.
    if (i > 0) expect(gateway.leftOpen.length).toBeGreaterThan(0)
    expect(gateway.leftOpen.filter(({ error }) => error !== undefined)).toEqual([])
    const traffic = startTraffic(gateway.port, `${durability}${i}`)
    await expect.poll(() => traffic.answered.size, { timeout: 60_000 }).toBeGreaterThan(60 + i * 17)
    for (const tag of traffic.answered) answeredEarly.add(tag)
    const soon = traffic.answered.size + 40
    await sleep(500)
    await expect.poll(() => traffic.answered.size, { timeout: 60_000, interval: 5 }).toBeGreaterThan(soon)
    await gateway.kill()
    await traffic.done
    for (const tag of traffic.answered) answered.add(tag)
    // Only so much of the log is kept.
    for (const tag of tagsOf(server.log())) if (tag.startsWith(durability)) reachedServer.add(tag)
  }
  // The last one's leftovers are sealed by another start.
  const last = await startRecordingGateway({ server, directory: folder, durability })
  expect(last.leftOpen.length).toBeGreaterThan(0)
  expect(await last.stop()).toBe(0)
  return { answered, answeredEarly, reachedServer }
}

/** Changes a file in every way that its chain shows, and asks `verify` for the line. */
async function expectTamperingShows(files: readonly string[]): Promise<void> {
  const byLength = files
    .map((file) => readFileSync(file, 'utf8').split('\n').slice(0, -1))
    .sort((a, b) => b.length - a.length)
  const [lines = [], others = []] = byLength
  expect(lines.length).toBeGreaterThan(8)
  const last = lines.length
  const tampered: [what: string, text: readonly string[], line: number][] = [
    ['a changed byte', lines.with(4, (lines[4] ?? '').replace(/"at":\d/, '"at":9')), 5],
    ['a dropped line', lines.toSpliced(4, 1), 5],
    ['a repeated line', lines.toSpliced(5, 0, lines[4] ?? ''), 6],
    ['two lines swapped', lines.with(4, lines[5] ?? '').with(5, lines[4] ?? ''), 5],
    ['a line of another session', lines.with(4, others[4] ?? ''), 5],
    ['the end cut off', lines.slice(0, -1), last - 1],
    ['something behind the end', [...lines, lines[last - 1] ?? ''], last + 1],
    ['the first line gone', lines.slice(1), 1],
  ]
  const file = join(folder, 'tampered.txt')
  for (const [what, text, line] of tampered) {
    writeFileSync(file, `${text.join('\n')}\n`)
    const { code, out } = await cli('verify', file)
    expect([what, code, /line (\d+):/.exec(out)?.[1]]).toEqual([what, 1, String(line)])
  }
  writeFileSync(file, lines.join('\n').slice(0, -30))
  expect((await cli('verify', file)).out).toContain(`line ${last}:`)
}

describe('a gateway that is killed in the midst of traffic', () => {
  it('REC-4 durable: has on record all that reached the server and all that a client was answered', async () => {
    const { answered, reachedServer } = await crash('durable', 4)
    const recorded = recordedTags(folder)
    expect(reachedServer.size).toBeGreaterThan(100)
    expect(missingFrom(recorded, reachedServer)).toEqual([])
    expect(missingFrom(recorded, answered)).toEqual([])

    const files = recordingFiles(folder)
    const { code, out } = await cli('verify', ...files)
    expect(out).not.toContain('NOT OK')
    expect(code).toBe(0)
    expect(out.match(/sealed after a crash/g)?.length).toBe(files.length)
    await expectTamperingShows(files)
  })

  it('REC-4 batch: loses no more than what was asked just before', async () => {
    const { answeredEarly } = await crash('batch', 3)
    const recorded = recordedTags(folder)
    expect(missingFrom(recorded, answeredEarly)).toEqual([])
    expect(recorded.size).toBeGreaterThan(100)
    expect((await cli('verify', ...recordingFiles(folder))).code).toBe(0)
  })
})

describe('a recording in files', () => {
  it('REC-7 is replayed without a byte that a terminal acts on', async () => {
    const gateway = await startRecordingGateway({ server, directory: folder })
    const client = new pg.Client({ host: '127.0.0.1', port: gateway.port, ...AGENT, database: 'postgres' })
    await client.connect()
    await client.query("select '\x1b]52;c;ZXZpbA==\x07', '\u202e\u009b2J', 'line\n! 1 forged'")
    await client.query('select $1::text', ['\x1b[2J\u200b'])
    await client.query("select '\x1b[31m forbidden'").catch(() => undefined)
    await client.end()
    expect(await gateway.stop()).toBe(0)
    const [file = ''] = recordingFiles(folder)
    for (const args of [
      ['replay', file],
      ['replay', '--json', file],
    ]) {
      const { code, out } = await cli(...args)
      expect(code).toBe(0)
      expect(out).not.toMatch(/[^\n\P{C}]/u)
    }
    expect((await cli('replay', file)).out).not.toMatch(/^! 1 forged/m)
  })

  it('REC-1 that cannot grow ends its session with 58030; the gateway and the others go on', async () => {
    const gateway = await startRecordingGateway({ server, directory: folder, maxFileKiB: 16 })
    const login = { host: '127.0.0.1', port: gateway.port, ...AGENT, database: 'postgres' }
    const other = new pg.Client(login)
    await other.connect()
    const full = new pg.Client(login)
    full.on('error', () => undefined)
    await full.connect()
    let answered = -1
    let code: string | undefined
    while (code === undefined && answered < 1_000) {
      await full.query(`select '<full-${answered + 1}>${'x'.repeat(500)}'`).then(
        () => void answered++,
        (error: { code?: string }) => (code = error.code ?? 'closed'),
      )
    }
    expect(code).toBe('58030')
    expect(answered).toBeGreaterThan(3)
    // What could not be recorded did not run.
    expect(server.log()).not.toContain(`<full-${answered + 1}>`)
    expect((await other.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await other.end()
    await gateway.stop()
    const recorded = recordedTags(folder, true)
    for (let i = 0; i <= answered; i++) expect(recorded.has(`full-${i}`)).toBe(true)
  })
})
