import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  createReadStream,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
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
    const { child, out } = await startExample('--recordings', recordings, '--data-dir', databases)

    const client = new pg.Client({ connectionString: /postgresql:\/\/[^']+/.exec(out())?.[0] ?? '' })
    client.on('error', () => {})
    await client.connect()
    const { rows } = await client.query('select ssn, email, notes from customers where id = 2')
    expect(rows[0].ssn).toBe('***-**-1120')
    expect(JSON.stringify(rows)).not.toContain('alan@example.com')
    await expect(client.query('delete from orders')).rejects.toMatchObject({ code: '42501' })

    const held = client.query('update orders set status = $1 where id = $2', ['paid', 1])
    const api = /http:\/\/127\.0\.0\.1:\d+/.exec(out())?.[0] ?? ''
    const headers = { authorization: /Bearer [\w-]+/.exec(out())?.[0] ?? '' }
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
    expect(await verifyAll(recordings)).toHaveLength(1)
  })

  it.each(['sshd', 'built-in'])('stands in front of a host to reach by SSH: %s', { timeout: 90_000 }, async (kind) => {
    const recordings = join(folder, `ssh-recordings-${kind}`)
    const dataDir = join(folder, `ssh-${kind}`)
    // Nobody connects to it: this is about the other door.
    const upstream = ['--upstream', 'postgresql://nobody:none@127.0.0.1:1/none?sslmode=disable']
    const { child, out } = await startExample(
      '--ssh-target',
      kind,
      ...upstream,
      '--recordings',
      recordings,
      '--data-dir',
      dataDir,
    )
    const config = join(dataDir, 'ssh/config')
    const ssh = (...args: readonly string[]): Promise<Finished> => run('ssh', ['-F', config, ...args])
    const home = join(dataDir, 'ssh/target/demo-host')
    expect(out()).toContain(kind === 'sshd' ? "OpenSSH's server" : 'a demo target in this program')

    // The line as it is printed.
    const line = /^ {2}(ssh -i .*'ls')$/m.exec(out())?.[1] ?? ''
    const listed = await run('sh', ['-c', line.replace('ssh ', 'ssh -F /dev/null -o StrictHostKeyChecking=yes ')])
    expect(listed).toMatchObject({ code: 0, output: expect.stringContaining('readme.txt') })
    expect(statSync(join(dataDir, 'ssh/id')).mode & 0o777).toBe(0o600)

    const masked = await ssh('demo', 'cat customers.csv')
    expect(masked.output).toContain('1,Ada Lovelace,[redacted],[redacted]')
    const refused = await ssh('demo', 'rm -rf /')
    expect(refused).toMatchObject({ code: 126, output: expect.stringContaining('shell/destructive-deletion') })
    expect((await ssh('-o', 'PubkeyAuthentication=no', 'demo', 'ls')).code).toBe(255)
    expect((await ssh('-N', '-o', 'ExitOnForwardFailure=yes', '-R', '0:localhost:1', 'demo')).code).toBe(255)

    const held = ssh('demo', 'rm readme.txt')
    const approve = /approve with:\n {2}(curl -s .*\/approve)\n/
    await expect.poll(out, { timeout: 20_000 }).toMatch(approve)
    expect(existsSync(join(home, 'readme.txt'))).toBe(true)
    expect((await run('sh', ['-c', approve.exec(out())?.[1] ?? ''])).code).toBe(0)
    expect((await held).code).toBe(0)
    expect(existsSync(join(home, 'readme.txt'))).toBe(false)

    const fetched = join(folder, `app-${kind}.log`)
    expect((await run('scp', ['-F', config, 'demo:logs/app.log', fetched])).code).toBe(0)
    expect(readFileSync(fetched, 'utf8')).toBe(readFileSync(join(home, 'logs/app.log'), 'utf8'))
    const brought = join(folder, 'brought.txt')
    writeFileSync(brought, 'hello\n')
    expect((await run('scp', ['-F', config, brought, 'demo:incoming/'])).code).toBe(0)
    expect((await run('scp', ['-O', '-F', config, brought, `demo:${home}/incoming/old.txt`])).code).toBe(0)
    expect(readFileSync(join(home, 'incoming/old.txt'), 'utf8')).toBe('hello\n')
    expect((await run('scp', ['-F', config, brought, 'demo:'])).code).not.toBe(0)

    // A guarded shell, from a terminal with all its modes.
    const shell = spawn('script', ['-qec', `ssh -F ${config} demo`, '/dev/null'])
    let shown = ''
    shell.stdout.on('data', (chunk) => (shown += String(chunk)))
    await expect.poll(() => shown, { timeout: 20_000 }).toMatch(/\$ $/)
    for (const [typed, answer] of [
      ['cat customers.csv', '2,Alan Turing,[redacted],[redacted]'],
      ['rm -rf /', 'refused: this deletes more'],
      ['cd logs', 'logs$ '],
      ['tail -n 1 app.log', 'worker 3 ended'],
    ] as const) {
      const before = shown.length
      shell.stdin.write(`${typed}\r`)
      await expect.poll(() => shown.slice(before), { timeout: 20_000 }).toContain(answer)
      // The line is shown once: by the gateway, not again by the target.
      await expect.poll(() => shown.slice(before), { timeout: 20_000 }).toMatch(/\$ $/)
      expect(shown.slice(before).split(typed)).toHaveLength(2)
    }
    const left = once(shell, 'exit')
    shell.stdin.write('exit\r')
    await left

    const exited = once(child, 'exit')
    child.kill('SIGINT')
    expect((await exited)[0]).toBe(0)
    expect(await verifyAll(recordings)).not.toHaveLength(0)
  })
})

interface Finished {
  readonly code: number | null
  readonly output: string
}

/** A program with nothing to read, and what it says on both outputs. */
function run(program: string, args: readonly string[]): Promise<Finished> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  child.stdout.on('data', (chunk) => (output += String(chunk)))
  child.stderr.on('data', (chunk) => (output += String(chunk)))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, output }))
  })
}

async function startExample(...options: readonly string[]): Promise<{ child: ChildProcess; out: () => string }> {
  const ports = ['--port', '0', '--ssh-port', '0', '--approvals-port', '0']
  const child = spawn('npm', ['start', '--', ...ports, ...options], { cwd: join(import.meta.dirname, '..') })
  let out = ''
  child.stdout.on('data', (chunk) => (out += String(chunk)))
  child.stderr.on('data', (chunk) => (out += String(chunk)))
  await expect.poll(() => out, { timeout: 40_000 }).toContain('Ctrl-C stops everything')
  return { child, out: () => out }
}

/** Names of the recordings, each of which verifies. */
async function verifyAll(recordings: string): Promise<readonly string[]> {
  const files = readdirSync(recordings).filter((name) => name.endsWith('.jsonl'))
  for (const file of files) {
    expect(await verifyRecording(createReadStream(join(recordings, file)))).toMatchObject({ ok: true })
  }
  return files
}
