import { mkdtempSync, rmSync } from 'node:fs'
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
function recordedTags(directory: string): Set<string> {
  const found = new Set<string>()
  for (const file of recordingFiles(directory)) {
    for (const line of recordedLines(file)) {
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
  })

  it('REC-4 batch: loses no more than what was asked just before', async () => {
    const { answeredEarly } = await crash('batch', 3)
    const recorded = recordedTags(folder)
    expect(missingFrom(recorded, answeredEarly)).toEqual([])
    expect(recorded.size).toBeGreaterThan(100)
    expect((await cli('verify', ...recordingFiles(folder))).code).toBe(0)
  })
})
