import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, createReadStream, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { afterAll, describe, expect, it } from 'vitest'
import { verifyRecording } from '../src/recording/index.js'

const folder = mkdtempSync(join(tmpdir(), 'sallyport-examples-'))
// As root the server runs as somebody else, who must be able to enter.
chmodSync(folder, 0o711)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('the example in the same process', () => {
  it('masks one statement, holds one, refuses one, and never shows the password', { timeout: 60_000 }, async () => {
    const program = join(import.meta.dirname, 'in-process/main.ts')
    const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', program])
    expect(stdout).toContain('"ssn":"***-**-5462"')
    expect(stdout).toContain('told: waiting for approval')
    expect(stdout).toContain('gets: [{"id":6,"status":"paid"}]')
    expect(stdout).toContain('refused: a DELETE without WHERE removes every row (42501')
    expect(stdout).toContain('gets: [{"orders":40}]')
    expect(stdout).toContain('the record verifies')
  })
})

describe('the reference gateway', () => {
  it('starts, serves, lets a person approve, stops on a signal, and leaves records that verify', {
    timeout: 60_000,
  }, async () => {
    const recordings = join(folder, 'recordings')
    const databases = join(folder, 'database')
    const options = ['--port', '0', '--approvals-port', '0', '--recordings', recordings, '--data-dir', databases]
    const child = spawn('npm', ['start', '--', ...options], { cwd: join(import.meta.dirname, '..') })
    let out = ''
    child.stdout.on('data', (chunk) => {
      out += String(chunk)
    })
    child.stderr.on('data', (chunk) => {
      out += String(chunk)
    })
    await expect.poll(() => out, { timeout: 40_000 }).toContain('Ctrl-C stops everything')

    const client = new pg.Client({ connectionString: /postgresql:\/\/[^']+/.exec(out)?.[0] ?? '' })
    client.on('error', () => {})
    await client.connect()
    const { rows } = await client.query('select ssn, email, notes from customers where id = 2')
    expect(rows[0].ssn).toBe('***-**-1120')
    expect(JSON.stringify(rows)).not.toContain('alan@example.com')
    await expect(client.query('delete from orders')).rejects.toMatchObject({ code: '42501' })

    const held = client.query('update orders set status = $1 where id = $2', ['paid', 1])
    const api = /http:\/\/127\.0\.0\.1:\d+/.exec(out)?.[0] ?? ''
    const headers = { authorization: /Bearer [\w-]+/.exec(out)?.[0] ?? '' }
    const list = async (): Promise<{ id: string }[]> =>
      (await (await fetch(`${api}/holds`, { headers })).json()) as { id: string }[]
    await expect.poll(async () => (await list()).length).toBe(1)
    const id = (await list())[0]?.id ?? ''
    const shown = await fetch(`${api}/holds/${id}`, { headers: { ...headers, accept: 'text/plain' } })
    expect(await shown.text()).toContain("$1 = 'paid'")
    expect((await fetch(`${api}/holds/${id}/approve`, { method: 'POST' })).status).toBe(401)
    const page = { ...headers, origin: 'http://evil.example' }
    expect((await fetch(`${api}/holds/${id}/approve`, { method: 'POST', headers: page })).status).toBe(403)
    expect((await fetch(`${api}/holds/${id}/approve`, { method: 'POST', headers })).status).toBe(200)
    expect((await held).rowCount).toBe(1)

    const exited = once(child, 'exit')
    child.kill('SIGINT')
    expect((await exited)[0]).toBe(0)
    // The server removes it when it ends in order.
    expect(existsSync(join(databases, 'db/PG_VERSION'))).toBe(true)
    expect(existsSync(join(databases, 'db/postmaster.pid'))).toBe(false)
    const files = readdirSync(recordings).filter((name) => name.endsWith('.jsonl'))
    expect(files.length).toBe(1)
    for (const file of files) {
      expect(await verifyRecording(createReadStream(join(recordings, file)))).toMatchObject({ ok: true })
    }
  })
})
