import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Consumer, installPacked } from '../package/installed-package.js'
import { ROOT } from '../package/source-files.js'
import { type PostgresServer, startPostgres } from '../support/postgres.js'

let server: PostgresServer
let consumer: Consumer
let child: ChildProcess | undefined

beforeAll(async () => {
  consumer = installPacked()
  server = await startPostgres({
    databases: ['shop'],
    sql: `create role app login password 'app-secret';
      create table customers (id int, name text, ssn text, note text);
      insert into customers values (1, 'Ada', '078-05-1120', 'write to ada@example.com');
      grant select on customers to app`,
  })
}, 300_000)

afterAll(async () => {
  child?.kill('SIGKILL')
  await server?.stop()
  if (consumer !== undefined) rmSync(consumer.folder, { recursive: true, force: true })
})

describe("the README's gateway", () => {
  it('runs as it stands, but for its ports, on the packed package', async () => {
    const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')
    const program = /^```ts\n(import [\s\S]*?)^```$/m.exec(readme)?.[1] ?? ''
    const moved = program.replace('port: 5432', `port: ${server.port}`).replace('port: 6432', 'port: 0')
    expect(moved).not.toBe(program)
    writeFileSync(join(consumer.folder, 'gateway.mjs'), moved)
    child = spawn(process.execPath, ['gateway.mjs'], {
      cwd: consumer.folder,
      env: { ...process.env, DATABASE_PASSWORD: 'app-secret', AGENT_PASSWORD: 'agent-secret' },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let out = ''
    child.stdout?.on('data', (chunk) => (out += String(chunk)))
    await expect.poll(() => out, { timeout: 30_000 }).toContain('\n')
    const port = Number(/^psql -h 127\.0\.0\.1 -p (\d+) -U agent\n$/.exec(out)?.[1])

    const client = new pg.Client({
      host: '127.0.0.1',
      port,
      user: 'agent',
      password: 'agent-secret',
      database: 'shop',
    })
    client.on('error', () => undefined)
    await client.connect()
    const { rows } = await client.query('select name, ssn, note from customers')
    expect(rows).toEqual([{ name: 'Ada', ssn: '[redacted]', note: 'write to [redacted]' }])
    await expect(client.query('drop table customers')).rejects.toMatchObject({ code: '42501', message: 'tables stay' })
    await expect(client.query('delete from customers')).rejects.toMatchObject({ code: '42501' })
    await client.end()
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    await exited
    expect(readdirSync(join(consumer.folder, 'recordings')).filter((name) => name.endsWith('.jsonl')).length).toBe(1)
  })
})
