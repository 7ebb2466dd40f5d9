import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import * as m from '../../../src/protocols/postgres/messages.js'
import { AGENT, ALLOW_ALL, startGateway, type TestGateway } from '../../support/gateway.js'
import { type PostgresServer, startPostgres } from '../../support/postgres.js'
import { bind, cellsOf, execute, Wire } from '../../support/wire.js'

let server: PostgresServer
let gateway: TestGateway
let wire: Wire

beforeAll(async () => {
  server = await startPostgres({
    sql: `create schema harmless; create schema vault;
      create table harmless.t (word text); insert into harmless.t values ('harmless');
      create table vault.t (word text); insert into vault.t values ('secret');
      create view harmless.v as select word from harmless.t`,
  })
  gateway = await startGateway({ server, rules: [ALLOW_ALL, { id: 'masks', mask: { columns: ['vault.t.word'] } }] })
})

beforeEach(async () => {
  wire = await Wire.login({ port: gateway.port, ...AGENT, database: 'postgres' })
})

afterEach(() => wire.close())

afterAll(async () => {
  await gateway?.stop()
  await server?.stop()
})

async function rows(...parts: Buffer[]): Promise<string> {
  wire.send(...parts, m.sync())
  return (await wire.until('Z'))
    .filter(({ type }) => type === 'D')
    .map(cellsOf)
    .join()
}

describe('PG-20 columns that were described once are masked by what they are now', () => {
  it('after search_path has changed', async () => {
    await wire.query('set search_path = harmless')
    expect(await rows(m.parse('n', 'select word from t'), m.describe('S', 'n'), bind('', 'n'), execute(''))).toBe(
      'harmless',
    )
    await wire.query('set search_path = vault')
    expect(await rows(bind('', 'n'), execute(''))).toBe('[redacted]')
    await wire.query('set search_path = harmless')
    expect(await rows(bind('', 'n'), execute(''))).toBe('harmless')
  })

  it('after search_path has changed where no rule sees it', async () => {
    await wire.query('set search_path = harmless')
    expect(await rows(m.parse('n', 'select word from t'), m.describe('S', 'n'), bind('', 'n'), execute(''))).toBe(
      'harmless',
    )
    await wire.query("do $$ begin perform set_config('search_path', 'vault', false); end $$")
    expect(await rows(bind('', 'n'), execute(''))).toBe('[redacted]')
  })

  it('after a view has got another meaning', async () => {
    expect(
      await rows(m.parse('n', 'select word from harmless.v'), m.describe('S', 'n'), bind('', 'n'), execute('')),
    ).toBe('harmless')
    await wire.query('create or replace view harmless.v as select word from vault.t')
    expect(await rows(bind('', 'n'), execute(''))).not.toBe('secret')
    await wire.query('create or replace view harmless.v as select word from harmless.t')
  })

  it('after the tables have changed their names', async () => {
    expect(
      await rows(m.parse('n', 'select word from harmless.t'), m.describe('S', 'n'), bind('', 'n'), execute('')),
    ).toBe('harmless')
    await wire.query('begin')
    await wire.query('alter table harmless.t rename to old; alter table vault.t set schema harmless')
    expect(await rows(bind('', 'n'), execute(''))).not.toBe('secret')
    await wire.query('rollback')
  })
})
