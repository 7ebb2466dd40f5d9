import { open } from 'node:fs/promises'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Rule } from '../../../src/policy/index.js'
import { createPolicy } from '../../../src/policy/index.js'
import { MemoryRecordStore, type RecordStore } from '../../../src/recording/index.js'
import * as m from '../../../src/protocols/postgres/messages.js'
import { AGENT, ALLOW_ALL, startGateway, type TestGateway, type TestGatewayOptions } from '../../support/gateway.js'
import { type PostgresServer, startPostgres } from '../../support/postgres.js'
import { parseLines, type RecordedLine } from '../../support/recordings.js'
import { errorFields, Wire } from '../../support/wire.js'

const SSN = '078-05-1120'
const EMAIL = 'ada.lovelace@example.com'
const CARD = '4111111111111111'

let server: PostgresServer
const opened: TestGateway[] = []

beforeAll(async () => {
  server = await startPostgres({
    settings: { log_statement: 'all' },
    sql: `create table person (id int primary key, name text, ssn text, email text, card text, note text);
      insert into person values (1, 'Ada', '${SSN}', '${EMAIL}', '${CARD}', 'write to ${EMAIL}');
      create table orders (id int primary key, status text); insert into orders select i, 'new' from generate_series(1, 100) i`,
  })
})
afterEach(async () => {
  for (const gateway of opened.splice(0)) await gateway.stop()
})
afterAll(() => server?.stop())

async function start(rules: readonly Rule[], options: Partial<TestGatewayOptions> = {}): Promise<TestGateway> {
  const gateway = await startGateway({ server, rules, ...options })
  opened.push(gateway)
  return gateway
}

async function connect(gateway: TestGateway): Promise<pg.Client> {
  const client = new pg.Client(gateway.url())
  client.on('error', () => undefined)
  await client.connect()
  return client
}

/** Everything that was recorded, as text. */
async function recordedText(store: RecordStore): Promise<string> {
  const chunks: Uint8Array[] = []
  for (const name of await store.list()) for await (const chunk of store.read(name)) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

async function recorded(gateway: TestGateway): Promise<RecordedLine[]> {
  return parseLines(await recordedText(gateway.store))
}

const ofType = (lines: readonly RecordedLine[], type: string): RecordedLine[] =>
  lines.filter((line) => line.type === type)
const codeOf = (asked: Promise<unknown>): Promise<string | undefined> =>
  asked.then(
    () => undefined,
    (error: { code?: string }) => error.code,
  )

const MASKS: Rule = {
  id: 'masks',
  mask: { columns: ['person.ssn'], detectors: ['email', 'card', 'us-ssn'] },
}

describe('what a recording holds', () => {
  it('REC-5 is the output as the client got it, and no secret in any form', async () => {
    const gateway = await start([{ ...ALLOW_ALL, recordLevel: 'full' }, MASKS])
    const client = await connect(gateway)
    const { rows } = await client.query('select * from person')
    await client.query('select name, ssn from person where email = $1 or card = $2', [EMAIL, CARD])
    await client.query({ text: `select note from person where email = '${EMAIL}'`, rowMode: 'array' })
    await client.query("create role somebody password 'hunter2-opensesame'").catch(() => undefined)
    await client.query(`copy person to stdout`).catch(() => undefined)
    await client.query(`select * from person where id = $1`, [SSN]).catch(() => undefined)
    await client.end()
    await gateway.stop()

    const lines = await recorded(gateway)
    expect(JSON.stringify(rows)).not.toContain(SSN)
    expect(ofType(lines, 'output').length).toBeGreaterThan(2)
    const output = ofType(lines, 'output').map(({ utf8, base64 }) =>
      typeof utf8 === 'string' ? utf8 : Buffer.from(base64 as string, 'base64').toString('latin1'),
    )
    expect(output.join('\n')).toContain(String(rows[0].ssn))
    const everything = [await recordedText(gateway.store), ...output].join('\n')
    const secrets = [SSN, EMAIL, CARD, 'hunter2-opensesame', AGENT.password, server.password]
    for (const secret of secrets) {
      for (const form of formsOf(secret)) expect(everything).not.toContain(form)
    }
    const verifier = /SCRAM|SASL|n=agent|c=biws/i
    expect(everything).not.toMatch(verifier)
  })

  it('REC-1 says of a result that was cut off why it was, and the session goes on', async () => {
    const gateway = await start([
      ALLOW_ALL,
      { id: 'few-rows', maxRows: 10, match: { tables: 'orders' } },
      { id: 'few-bytes', maxBytes: 4_000, match: { text: 'repeat' } },
    ])
    const client = await connect(gateway)
    expect((await client.query('select * from orders limit 10')).rowCount).toBe(10)
    expect(await codeOf(client.query('select * from orders'))).toMatch(/^\w{5}$/)
    expect(await codeOf(client.query('select id, $1::text from orders', ['x']))).toMatch(/^\w{5}$/)
    expect(await codeOf(client.query("select repeat('x', 3000) from generate_series(1, 9)"))).toMatch(/^\w{5}$/)
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await client.end()
    await gateway.stop()
    const answers = ofType(await recorded(gateway), 'command').map((line) => line['answer'] as Record<string, unknown>)
    expect(answers.map((answer) => answer['outcome'])).toEqual(['completed', 'failed', 'failed', 'failed', 'completed'])
    for (const cut of answers.slice(1, 3))
      expect(cut).toMatchObject({ rows: 10, errorMessage: expect.stringContaining('row') })
    expect(answers[3]).toMatchObject({ errorMessage: expect.stringContaining('byte') })
  })

  it('ends what a session may do when its caps are used up', async () => {
    for (const limits of [{ maxSessionCommands: 2 }, { maxSessionRows: 20 }, { maxSessionBytes: 100 }]) {
      const gateway = await start([ALLOW_ALL], { enforcer: { limits } })
      const client = await connect(gateway)
      await client.query('select * from orders limit 10')
      await client.query('select * from orders limit 10').catch(() => undefined)
      expect(await codeOf(client.query('select 3'))).toBe('54000')
      await client.end()
      await gateway.stop()
      const last = ofType(await recorded(gateway), 'command').at(-1)
      expect(last).toMatchObject({ permitted: false, reason: 'limit', text: 'select 3' })
    }
  })
})

/** How a secret may look when somebody encoded it. */
function formsOf(secret: string): string[] {
  const bytes = Buffer.from(secret)
  // Base64 of a text that stands anywhere in another one: by its three alignments, without the ends that depend on neighbours.
  const aligned = [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), bytes]).toString('base64')
    return text.slice(shift === 0 ? 0 : 4, -4)
  })
  return [secret, bytes.toString('hex'), ...aligned.filter((form) => form.length >= 8)]
}

describe('a recorder that cannot write', () => {
  it('REC-1 stops its session, lets nothing more through, and leaves the gateway standing', async () => {
    const store = new FillingStore()
    const gateway = await start([ALLOW_ALL], { store, durability: 'durable' })
    const login = { port: gateway.port, ...AGENT, database: 'postgres' }
    const early = await Wire.login(login)
    await early.query('select 1')
    store.isFull = true
    early.send(m.query('select 1 as never_seen'))
    const ended = await early.untilClosed()
    const error = ended.find((message) => message.type === 'E')
    expect(error && errorFields(error)['C']).toBe('58030')

    // One that begins now is told so at the latest with its first command.
    const late = await Wire.login(login).then(
      async (wire) => {
        wire.send(m.query('select 2 as never_seen'))
        const refusal = (await wire.untilClosed()).find((message) => message.type === 'E')
        return refusal === undefined ? '' : errorFields(refusal)['C']
      },
      (failure: unknown) => String(failure),
    )
    expect(late).toContain('58030')
    expect(server.log()).not.toContain('never_seen')

    store.isFull = false
    const again = await connect(gateway)
    expect((await again.query('select 3 as three')).rows).toEqual([{ three: 3 }])
    await again.end()
  })
})

/** In memory until it is full; then it writes to the device that answers every write with ENOSPC. */
class FillingStore extends MemoryRecordStore {
  isFull = false

  override async openSegment(name: string) {
    const segment = await super.openSegment(name)
    return {
      ...segment,
      write: async (bytes: Uint8Array) => {
        if (!this.isFull) return await segment.write(bytes)
        const device = await open('/dev/full', 'w')
        try {
          await device.writeFile(bytes)
        } finally {
          await device.close()
        }
      },
    }
  }
}

describe('observing', () => {
  it('runs everything, masks nothing, and records what would have been', async () => {
    const gateway = await start(
      [
        ALLOW_ALL,
        MASKS,
        { id: 'no-delete', effect: 'deny', match: { verbs: ['delete'] } },
        { id: 'wait', effect: 'hold', match: { verbs: ['update'] } },
      ],
      { enforcer: { mode: 'observe' } },
    )
    const client = await connect(gateway)
    const { rows } = await client.query('select ssn from person')
    expect(rows).toEqual([{ ssn: SSN }])
    expect((await client.query("update orders set status = 'seen' where id = 1")).rowCount).toBe(1)
    expect((await client.query('delete from orders where id = 99')).rowCount).toBe(1)
    await client.end()
    await gateway.stop()
    const commands = ofType(await recorded(gateway), 'command')
    expect(commands.map((line) => [line['permitted'], line['wouldBe']])).toEqual([
      [true, undefined],
      [true, 'hold'],
      [true, 'deny'],
    ])
  })
})

describe('live events', () => {
  it('tell of decisions, holds, releases, answers, alerts and ends', async () => {
    const gateway = await start([
      ALLOW_ALL,
      { id: 'wait', effect: 'hold', match: { verbs: ['update'] } },
      { id: 'no-delete', effect: 'deny', match: { verbs: ['delete'] } },
      { id: 'look', alert: 'somebody reads people', match: { tables: 'person' } },
    ])
    const told: unknown[] = []
    const { enforcer } = gateway
    enforcer.on('session', ({ subject }) => told.push(['session', subject.id]))
    enforcer.on('decision', ({ command, judgement, holdId }) =>
      told.push([
        'decision',
        command.kind === 'sql' && command.text,
        judgement.permitted || judgement.denial.ruleId,
        holdId !== undefined,
      ]),
    )
    enforcer.on('hold', ({ ruleId, holdId }) => {
      told.push(['hold', ruleId])
      setTimeout(() => {
        const waiting = gateway.broker.list().find((hold) => hold.holdId === holdId)
        gateway.broker.approve(waiting?.id ?? '', { id: 'bob', type: 'human' })
      }, 20)
    })
    enforcer.on('released', ({ by }) => told.push(['released', by.map(({ approver }) => approver.id)]))
    enforcer.on('answer', (_session, _id, { outcome, tags, rows }) => told.push(['answer', outcome, tags, rows]))
    enforcer.on('alert', ({ text, ruleId }) => told.push(['alert', text, ruleId !== undefined]))
    enforcer.on('end', (_session, reason) => told.push(['end', typeof reason]))
    enforcer.on('decision', () => {
      throw new Error('an onlooker that fails')
    })

    const client = await connect(gateway)
    await client.query('select name from person')
    expect(await codeOf(client.query('delete from orders'))).toBe('42501')
    await client.query("update orders set status = 'paid' where id = 2")
    await client.end()
    await expect.poll(() => told.at(-1)).toEqual(['end', 'string'])
    expect(told).toEqual([
      ['session', 'agent'],
      ['alert', 'somebody reads people', true],
      ['decision', 'select name from person', true, false],
      ['answer', 'completed', ['SELECT 1'], 1],
      ['decision', 'delete from orders', 'no-delete', false],
      ['hold', 'wait'],
      ['decision', "update orders set status = 'paid' where id = 2", true, true],
      ['released', ['bob']],
      ['answer', 'completed', ['UPDATE 1'], 0],
      ['end', 'string'],
    ])
    const alerts = ofType(await recorded(gateway), 'alert')
    expect(alerts).toMatchObject([{ text: 'somebody reads people', commandId: 1 }])
  })
})

describe('a policy replaced while a session runs', () => {
  it('judges and masks what comes after by the new one, prepared statements too', async () => {
    const gateway = await start([ALLOW_ALL])
    const client = await connect(gateway)
    const ask = { name: 'ask', text: 'select ssn from person where id = $1', values: [1] }
    expect((await client.query(ask)).rows).toEqual([{ ssn: SSN }])
    await client.query('delete from orders where id = 98')
    const next = createPolicy({
      rules: [ALLOW_ALL, MASKS, { id: 'no-delete', effect: 'deny', match: { verbs: ['delete'] } }],
    })
    gateway.enforcer.setPolicy(next)
    expect((await client.query(ask)).rows[0].ssn).not.toBe(SSN)
    expect((await client.query('select ssn from person')).rows[0].ssn).not.toBe(SSN)
    expect(await codeOf(client.query('delete from orders where id = 97'))).toBe('42501')
    await client.end()
    await gateway.stop()
    expect(ofType(await recorded(gateway), 'note')).toMatchObject([
      { text: 'policy replaced', details: { policyDigest: next.digest } },
    ])
  })
})
