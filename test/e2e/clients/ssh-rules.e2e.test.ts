import { spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { system } from '../../../src/gateway/index.js'
import { createSshIdentity, authorizedKeys, sshTrust } from '../../../src/identity/ssh/index.js'
import type { Rule } from '../../../src/policy/index.js'
import { MemoryRecordStore } from '../../../src/recording/index.js'
import { freePort, startSshd, type SshdServer } from '../../support/sshd.js'
import { ALICE, ALLOW_ALL, finished, startSshGateway, type TestSshGateway } from '../../support/ssh-gateway.js'
import { until } from '../../support/until.js'

const RULES: Rule[] = [
  { id: 'most', effect: 'allow', evenIfUnparsed: true },
  { id: 'full', recordLevel: 'full' },
  { id: 'no-rm', effect: 'deny', match: { kinds: 'shell', programs: 'rm' }, message: 'nothing is removed here' },
  { id: 'ask', effect: 'hold', match: { kinds: 'shell', programs: 'touch' } },
  { id: 'cards', match: { kinds: 'shell' }, mask: { detectors: ['card'] } },
  { id: 'short', match: { kinds: 'shell', programs: 'yes' }, maxBytes: 1_000 },
  { id: 'no-secrets', effect: 'deny', match: { kinds: 'sftp', files: '**/secret*' }, message: 'not this file' },
  { id: 'no-preload', effect: 'deny', match: { kinds: 'ssh-request', requests: 'env', names: 'LD_*' } },
  { id: 'no-agent', effect: 'deny', match: { kinds: 'ssh-request', requests: 'auth-agent-req@openssh.com' } },
]

let server: SshdServer
let gateway: TestSshGateway
const store = new MemoryRecordStore()

beforeAll(async () => {
  server = await startSshd({ acceptEnv: 'AcceptEnv *' })
  gateway = await startSshGateway({ server, rules: RULES, store, enforcer: { limits: { remindMs: 200 } } })
})

afterAll(async () => {
  await gateway?.stop()
  await server?.stop()
})

describe('commands', () => {
  it('that are denied say why on stderr and end with status 126, and the connection lives on', async () => {
    const control = join(gateway.folder, 'control')
    const master = finished(gateway.spawnSsh([], { options: ['-M', '-S', control, '-N'] }))
    const mux = (command: string) =>
      finished(spawn('ssh', ['-F', '/dev/null', '-S', control, 'alice+web@127.0.0.1', command], { stdio: 'pipe' }))
    await until(() => existsSync(control))
    const refused = await mux('rm -rf /tmp/nothing')
    expect(refused).toMatchObject({ code: 126, stdout: '' })
    expect(refused.stderr).toContain('sallyport: refused: nothing is removed here (rule no-rm)')
    expect(await mux('echo on')).toMatchObject({ code: 0, stdout: 'on\n' })
    expect(gateway.gateway.connections.length).toBe(1)
    await finished(spawn('ssh', ['-S', control, '-O', 'exit', 'x'], { stdio: 'pipe' }))
    await master
  })

  it('that are held tell their client, wait though its stdin has ended, and run once approved', async () => {
    const file = join(server.home, 'approved')
    const result = finished(gateway.spawnSsh([`touch ${file}; echo done`]), '')
    await until(() => gateway.broker.list().length === 1)
    await new Promise((resolve) => setTimeout(resolve, 300))
    gateway.broker.approve(gateway.broker.list()[0]?.id ?? '', { id: 'bob', type: 'human' })
    const { stdout, stderr, code } = await result
    expect({ stdout, code }).toEqual({ stdout: 'done\n', code: 0 })
    expect(stderr).toContain('sallyport: ')
  })

  it('that are held are withdrawn when their client leaves', async () => {
    const child = gateway.spawnSsh([`touch ${server.home}/never`])
    const result = finished(child, '')
    await until(() => gateway.broker.list().length === 1)
    child.kill()
    await result
    await until(() => gateway.broker.list().length === 0)
  })

  it('have their output masked, also where it comes in pieces', async () => {
    const { stdout, stderr } = await gateway.ssh([
      'printf 4111; sleep 0.1; printf 111111111111; echo 4111111111111111 >&2',
    ])
    expect(stdout + stderr).not.toContain('111111')
    expect(stdout.length).toBeGreaterThan(0)
  })

  it('end where they have said as much as they may', async () => {
    const { stdout, stderr, code } = await gateway.ssh(['yes'])
    expect(stdout.length).toBe(1_000)
    expect(stderr).toContain('as much as it may')
    expect(code).toBe(126)
  })

  it('as long as a packet run, longer ones end their connection and no other', async () => {
    const other = finished(gateway.spawnSsh(['cat; sleep 0.5; echo still here']))
    expect(await gateway.ssh([`: ${'x'.repeat(30_000)}; echo long`])).toMatchObject({ stdout: 'long\n', code: 0 })
    expect(await gateway.ssh([`: ${'x'.repeat(40_000)}; echo long`])).toMatchObject({ stdout: '', code: 255 })
    expect(await other).toMatchObject({ stdout: 'still here\n', code: 0 })
  })

  it('SSH-3 get no variable that a rule denies', async () => {
    const { stdout } = await gateway.ssh(['echo $LD_PRELOAD-$TEST_A'], {
      options: ['-o', 'SendEnv=LD_PRELOAD TEST_A'],
      env: { LD_PRELOAD: '', TEST_A: 'a' },
    })
    expect(stdout).toBe('-a\n')
  })

  it('do not get the client’s agent where a rule denies it', async () => {
    const { stdout } = await gateway.ssh(['echo "[$SSH_AUTH_SOCK]"'], { options: ['-A'] })
    expect(stdout).toBe('[]\n')
  })
})

describe('files', () => {
  it('are denied one by one', async () => {
    writeFileSync(join(server.home, 'secret'), 'secret')
    writeFileSync(join(server.home, 'open'), 'open')
    const batch = `-get ${server.home}/secret ${gateway.folder}/s\n-get ${server.home}/open ${gateway.folder}/o\n`
    const args = [...gateway.sshOptions, '-P', String(gateway.port), '-b', '-', 'alice+web@127.0.0.1']
    const child = spawn('sftp', args, { stdio: 'pipe' })
    await finished(child, batch)
    expect(existsSync(join(gateway.folder, 's'))).toBe(false)
    expect(readFileSync(join(gateway.folder, 'o'), 'utf8')).toBe('open')
  })

  it('SSH-2 are denied the same to who runs the server of files by its name, or the older scp', async () => {
    const there = `${server.home}/secret`
    const at = (name: string) => join(gateway.folder, name)
    const options = [...gateway.sshOptions, '-P', String(gateway.port)]
    const batch = `-get ${there} ${at('s2')}\n-get ${server.home}/open ${at('o2')}\n`
    const direct = ['-s', '/usr/lib/openssh/sftp-server', '-b', '-', 'alice+web@127.0.0.1']
    await finished(spawn('sftp', [...options, ...direct], { stdio: 'pipe' }), batch)
    expect(readFileSync(at('o2'), 'utf8')).toBe('open')
    const scp = await finished(
      spawn('scp', [...options, '-O', `alice+web@127.0.0.1:${there}`, at('s3')], { stdio: 'pipe' }),
    )
    expect(scp.code).not.toBe(0)
    expect([existsSync(at('s2')), existsSync(at('s3'))]).toEqual([false, false])
  })
})

describe('guarded shells', () => {
  it('run permitted lines and refuse others, one by one', async () => {
    const child = gateway.spawnSsh([], { options: ['-tt'] })
    let shown = ''
    child.stdout.on('data', (chunk: Buffer) => {
      shown += chunk.toString()
    })
    const code = new Promise((resolve) => child.once('close', resolve))
    const shows = (text: string) => until(() => shown.includes(text))
    await until(() => shown.length > 10)
    child.stdin.write('echo $((40 + 2)) is the answer\r')
    await shows('42 is the answer')
    child.stdin.write('rm -rf /tmp/nothing\r')
    await shows('nothing is removed here')
    child.stdin.write('echo 4111111111111111 | tr 1 1\r')
    await until(() => shown.split('tr 1 1').length > 1)
    child.stdin.write('touch /tmp/never\r')
    await until(() => gateway.broker.list().length === 1)
    child.stdin.write('\x03')
    await until(() => gateway.broker.list().length === 0)
    child.stdin.write('exit 7\r')
    expect(await code).toBe(7)
    // Typed by the client itself and shown back to it; what the target said is masked.
    expect(shown.split('4111111111111111').length).toBe(2)
  })
})

describe('a gateway that shuts down', () => {
  it('tells whoever still runs something after its grace, and has every record ended', async () => {
    const all = new MemoryRecordStore()
    const ending = await startSshGateway({ server, store: all })
    const running = finished(ending.spawnSsh(['echo started; sleep 60']))
    await until(() => ending.gateway.connections[0]?.sessionId !== undefined)
    await new Promise((resolve) => setTimeout(resolve, 300))
    await ending.gateway.drain(200)
    const { code, stderr, stdout } = await running
    expect({ code, stdout }).toEqual({ code: 126, stdout: 'started\n' })
    expect(stderr).toContain('shutting down')
    const [name = ''] = await all.list()
    expect(all.bytes(name).toString()).toContain('"type":"end"')
    await ending.stop()
  })
})

describe('recorded shells', () => {
  it('pass as they are, with everything on record', async () => {
    const all = new MemoryRecordStore()
    const recorded = await startSshGateway({
      server,
      store: all,
      rules: [{ ...ALLOW_ALL, terminal: 'record', recordLevel: 'full' }],
    })
    const { stdout, code } = await recorded.ssh([], {
      options: ['-tt'],
      input: 'echo in a $((40+2))\nexit 4\n',
    })
    expect(stdout).toContain('in a 42')
    expect(code).toBe(4)
    await recorded.stop()
    const text = (await all.list()).map((name) => all.bytes(name).toString()).join('')
    expect(text).toContain('in a 42')
    expect(text).toContain('"terminal"')
    expect(text).toContain('"resize"')
  })
})

describe('log-in', () => {
  it('names targets, and says where there is none or it cannot be reached', async () => {
    const options = ['-o', 'LogLevel=INFO', '-i', gateway.keyFile]
    const nowhere = await gateway.ssh(['true'], { login: 'alice+nowhere', options })
    expect(nowhere.code).toBe(255)
    expect(nowhere.stderr).toContain('there is no such target')
    const down = await startSshGateway({ server: { ...server, port: await freePort() } })
    const { code, stderr } = await down.ssh(['true'], { options: ['-o', 'LogLevel=INFO'] })
    expect(code).toBe(255)
    expect(stderr).toContain('the target cannot be reached')
    await down.stop()
  })

  it('lets nobody in by a key that only holds a line with other limits', async () => {
    const keys = authorizedKeys([
      { user: 'alice', subject: ALICE, keys: `restrict ${readFileSync(`${gateway.keyFile}.pub`, 'utf8')}` },
    ])
    const restricted = await startSshGateway({
      server,
      identity: createSshIdentity({ trust: () => sshTrust({ authorizedKeys: keys }), clock: system.clock }),
    })
    const { stderr } = await restricted.ssh(['tty'], {
      options: ['-o', 'LogLevel=INFO', '-tt', '-i', gateway.keyFile],
    })
    expect(stderr).toContain('PTY allocation request failed')
    await restricted.stop()
  })
})
