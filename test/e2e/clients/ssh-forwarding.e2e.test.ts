import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Rule } from '../../../src/policy/index.js'
import { MemoryRecordStore } from '../../../src/recording/index.js'
import { ALLOW_ALL, finished, startSshGateway, type TestSshGateway } from '../../support/ssh-gateway.js'
import { verifiedRecordings } from '../../support/ssh-recordings.js'
import { freePort, startSshd, type SshdServer } from '../../support/sshd.js'
import { until } from '../../support/until.js'

/** Both sides of a forwarded connection may have to write to it. */
const folder = mkdtempSync(join(tmpdir(), 'sallyport-forwarding-'))
const at = (name: string): string => join(folder, name)
const store = new MemoryRecordStore()
let server: SshdServer
let gateway: TestSshGateway
const failures: unknown[] = []
const closers: (() => unknown)[] = []

beforeAll(async () => {
  spawnSync('chmod', ['777', folder])
  server = await startSshd({ settings: [`SetEnv XAUTHORITY=${at('remote-xauthority')}`] })
  gateway = await startSshGateway({ server, store })
  gateway.gateway.events.on('failed', (_info, error) => failures.push(error))
})

afterEach(() => {
  for (const close of closers.splice(0)) close()
  if (failures.length > 0) throw new Error('the gateway failed', { cause: failures.splice(0)[0] })
})

afterAll(async () => {
  await gateway?.stop()
  await server?.stop()
  rmSync(folder, { recursive: true, force: true })
})

/** Answers what it was sent once that has ended, in capitals, and ends. */
async function shouter(path?: string): Promise<number> {
  const shouting: Server = createServer({ allowHalfOpen: true }, (socket) => {
    let said = ''
    socket.on('data', (chunk) => (said += chunk.toString()))
    socket.on('end', () => socket.end(said.toUpperCase()))
    socket.on('error', () => undefined)
  })
  shouting.listen(path ?? { port: 0, host: '127.0.0.1' })
  await once(shouting, 'listening')
  if (path !== undefined) spawnSync('chmod', ['777', path])
  closers.push(() => shouting.close())
  return path === undefined ? (shouting.address() as AddressInfo).port : 0
}

function dial(to: number | string): Socket {
  const socket = typeof to === 'string' ? connect(to) : connect(to, '127.0.0.1')
  socket.on('error', () => undefined)
  return socket
}

/** Says something, ends its own direction, and reads to the end of the other. */
async function ask(to: number | string, text: string): Promise<string> {
  const socket = connect(
    typeof to === 'string' ? { path: to, allowHalfOpen: true } : { port: to, host: '127.0.0.1', allowHalfOpen: true },
  )
  socket.end(text)
  let answer = ''
  for await (const chunk of socket) answer += String(chunk)
  return answer
}

async function listening(to: number | string): Promise<void> {
  await until(
    () =>
      new Promise((resolve) => {
        const socket = dial(to)
        socket.once('connect', () => {
          socket.destroy()
          resolve(true)
        })
        socket.once('error', () => resolve(false))
      }),
  )
}

/** A client that stays, with these options. @returns what ends it */
function stay(options: readonly string[], env: NodeJS.ProcessEnv = {}): { child: ChildProcess; stderr: () => string } {
  const child = gateway.spawnSsh(['-N'], { options: ['-o', 'ExitOnForwardFailure=yes', '-N', ...options], env })
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  closers.push(() => child.kill())
  return { child, stderr: () => stderr }
}

describe('a forwarded connection', () => {
  it('passes both ways and is closed half by half, -L to a port and to a socket', async () => {
    const port = await shouter()
    await shouter(at('target.sock'))
    const [local, other] = [await freePort(), await freePort()]
    stay([
      ...['-L', `127.0.0.1:${local}:127.0.0.1:${port}`],
      ...['-L', `${at('local.sock')}:${at('target.sock')}`],
      ...['-L', `127.0.0.1:${other}:${at('target.sock')}`],
    ])
    for (const to of [local, other, at('local.sock')]) {
      await listening(to)
      const texts = ['one', 'two', 'x'.repeat(3_000_000), '']
      expect(await Promise.all(texts.map((text) => ask(to, text)))).toEqual(texts.map((text) => text.toUpperCase()))
    }
  })

  it('comes back from the target, -R from a port, from any port, and from a socket', async () => {
    const port = await shouter()
    const remote = await freePort()
    const { stderr } = stay([
      ...['-o', 'LogLevel=INFO'],
      ...['-R', `127.0.0.1:${remote}:127.0.0.1:${port}`],
      ...['-R', `127.0.0.1:0:127.0.0.1:${port}`],
      ...['-R', `${at('remote.sock')}:127.0.0.1:${port}`],
    ])
    await until(() => /Allocated port (\d+)/.test(stderr()))
    const allocated = Number(/Allocated port (\d+)/.exec(stderr())?.[1])
    for (const to of [remote, allocated, at('remote.sock')]) {
      await listening(to)
      expect(await Promise.all(['one', 'two', ''].map((text) => ask(to, text)))).toEqual(['ONE', 'TWO', ''])
    }
  })

  it('is listened for until it is cancelled', async () => {
    const port = await shouter()
    const remote = await freePort()
    const control = at('control')
    stay(['-M', '-S', control])
    await until(() => existsSync(control))
    const mux = (...args: string[]) =>
      finished(spawn('ssh', ['-F', '/dev/null', '-S', control, ...args, 'x'], { env: gateway.env, stdio: 'pipe' }))
    const forward = ['-R', `127.0.0.1:${remote}:127.0.0.1:${port}`]
    expect((await mux('-O', 'forward', ...forward)).code).toBe(0)
    expect(await ask(remote, 'text')).toBe('TEXT')
    expect((await mux('-O', 'cancel', ...forward)).code).toBe(0)
    await until(() =>
      ask(remote, 'text').then(
        () => false,
        () => true,
      ),
    )
    expect((await mux('-O', 'forward', ...forward)).code).toBe(0)
    expect(await ask(remote, 'text')).toBe('TEXT')
  })

  it('goes where SOCKS says, by address and by name, -D', async () => {
    const port = await shouter()
    const local = await freePort()
    stay(['-D', `127.0.0.1:${local}`])
    await listening(local)
    for (const host of [Buffer.of(1, 127, 0, 0, 1), Buffer.concat([Buffer.of(3, 9), Buffer.from('localhost')])]) {
      const socket = dial(local)
      let answer = Buffer.alloc(0)
      socket.on('data', (chunk) => (answer = Buffer.concat([answer, chunk])))
      socket.write(Buffer.of(5, 1, 0))
      await until(() => answer.length === 2)
      socket.write(Buffer.concat([Buffer.of(5, 1, 0), host, Buffer.of(port >> 8, port & 255)]))
      await until(() => answer.length > 2)
      expect(answer[3]).toBe(0)
      socket.end('through socks')
      await until(() => answer.includes('THROUGH SOCKS'))
    }
  })

  it('that cannot be opened is refused, and the others go on', async () => {
    const port = await shouter()
    const [local, nobody] = [await freePort(), await freePort()]
    const { stderr } = stay([
      ...['-o', 'LogLevel=INFO'],
      ...['-L', `127.0.0.1:${local}:127.0.0.1:${port}`],
      ...['-L', `127.0.0.1:${nobody}:127.0.0.1:1`],
    ])
    await listening(local)
    expect(await ask(nobody, 'x').catch(() => '')).toBe('')
    await until(() => stderr().includes('open failed'))
    // What a target says of itself is not passed on.
    expect(stderr()).toContain('open failed: connect failed: the target did not open the channel')
    expect(await ask(local, 'on')).toBe('ON')
  })
})

describe('a jump', () => {
  /** Neither -J nor what it starts takes options but from here. */
  function configure(): string[] {
    const common =
      gateway.sshOptions
        .join('\n')
        .match(/-o\n(\S+)/g)
        ?.map((each) => each.slice(3).replace('=', ' ')) ?? []
    writeFileSync(
      at('config'),
      [
        'Host gateway',
        `  HostName 127.0.0.1\n  Port ${gateway.port}\n  User alice+web`,
        'Host direct',
        `  HostName 127.0.0.1\n  Port ${server.port}\n  User ${server.user}\n  IdentityFile ${server.privateKeyFile}`,
        'Host *',
        ...common.map((line) => `  ${line}`),
        '',
      ].join('\n'),
    )
    return ['-F', at('config')]
  }
  const ssh = (args: readonly string[], input?: string) =>
    finished(spawn('ssh', args, { env: gateway.env, stdio: 'pipe' }), input)

  it('through the gateway reaches another server, and the gateway is reached through one, -J', async () => {
    const config = configure()
    const input = randomBytes(300_000).toString('hex')
    for (const [jump, host] of [
      ['gateway', 'direct'],
      ['direct', 'gateway'],
      ['gateway,direct', 'gateway'],
    ] as const) {
      const result = await ssh([...config, '-J', jump, host, 'cat; echo err >&2; exit 7'], input)
      expect(result, `${jump} to ${host}`).toMatchObject({ stdout: input, stderr: 'err\n', code: 7 })
    }
  })

  it('is a connection like any other to the rules', async () => {
    const rules: Rule[] = [
      ALLOW_ALL,
      { id: 'no-jumps', effect: 'deny', match: { kinds: 'port-forward', ports: server.port }, message: 'no jumps' },
    ]
    const strict = await startSshGateway({ server, rules })
    const result = await strict.ssh([], {
      options: ['-o', 'LogLevel=INFO', '-W', `127.0.0.1:${server.port}`],
    })
    expect(result.code).toBe(255)
    expect(result.stderr).toContain('no jumps')
    await strict.stop()
  })
})

describe('a lent agent', () => {
  it('logs in further on with a key that is nowhere but in it, -A', async () => {
    const agent = spawn('ssh-agent', ['-D', '-a', at('agent')], { stdio: 'ignore' })
    closers.push(() => agent.kill())
    await until(() => existsSync(at('agent')))
    const env = { SSH_AUTH_SOCK: at('agent') }
    const added = await finished(
      spawn('ssh-add', ['-q', server.privateKeyFile], { env: { ...gateway.env, ...env }, stdio: 'pipe' }),
    )
    expect(added).toMatchObject({ stderr: '', code: 0 })
    const further = [
      ...['ssh', '-F', '/dev/null', '-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null'],
      ...['-o', 'LogLevel=ERROR', '-o', 'BatchMode=yes', '-i', '/dev/null', '-p', String(server.port)],
      `${server.user}@127.0.0.1`,
      'echo further on',
    ]
    const options = ['-o', `IdentityAgent=${at('agent')}`]
    const command = [further.map((word) => `'${word}'`).join(' ')]
    expect(await gateway.ssh(command, { options: ['-A', ...options], env })).toMatchObject({
      stdout: 'further on\n',
      code: 0,
    })
    expect((await gateway.ssh(command, { options: ['-a', ...options], env })).code).toBe(255)
  })
})

describe('X11', () => {
  /** What a program says to a display first, with the cookie it finds, and what the display answers. */
  const PROGRAM = `
import os, socket, struct, subprocess
host, _, rest = os.environ['DISPLAY'].rpartition(':')
line = subprocess.run(['xauth', 'list', os.environ['DISPLAY']], capture_output=True, text=True).stdout.split()
name, cookie = line[1].encode(), bytes.fromhex(line[2])
s = socket.create_connection((host or 'localhost', 6000 + int(rest.split('.')[0])))
s.sendall(struct.pack('<BxHHHHxx', ord('l'), 11, 0, len(name), len(cookie)) + name + bytes(-len(name) % 4) + cookie)
print(s.recv(100).decode())
s.shutdown(socket.SHUT_WR)
print(s.recv(100).decode())
`

  it.each(['-X', '-Y'])('programs show themselves on the client’s display, with its cookie, %s', async (flag) => {
    const cookie = randomBytes(16)
    const seen: Buffer[] = []
    const display = createServer({ allowHalfOpen: true }, (socket) => {
      socket.once('data', (chunk) => {
        seen.push(chunk)
        socket.write('you are welcome')
        socket.on('end', () => socket.end('good bye'))
      })
      socket.on('error', () => undefined)
    })
    let number = 700
    for (; number < 800; number++) {
      display.listen(6_000 + number, '127.0.0.1')
      if (await Promise.race([once(display, 'listening').then(() => true), once(display, 'error').then(() => false)]))
        break
    }
    closers.push(() => display.close())
    const env = { DISPLAY: `127.0.0.1:${number}`, XAUTHORITY: at('xauthority') }
    const xauth = spawnSync('xauth', ['add', env.DISPLAY, 'MIT-MAGIC-COOKIE-1', cookie.toString('hex')], {
      env: { ...gateway.env, ...env },
      encoding: 'utf8',
    })
    expect(xauth.status, xauth.stderr).toBe(0)
    // Without `trusted` the cookie would have to come from the display's own security extension.
    const run = { options: [flag, '-o', 'ForwardX11Trusted=yes'], env }
    writeFileSync(join(server.home, 'x.py'), PROGRAM)
    writeFileSync(at('remote-xauthority'), '')
    spawnSync('chmod', ['666', at('remote-xauthority')])
    const command = [`python3 ${server.home}/x.py`]
    const direct = await gateway.direct(command, run)
    const guarded = await gateway.ssh(command, run)
    expect(guarded).toEqual(direct)
    expect(guarded).toMatchObject({ stderr: '', code: 0 })
    expect(guarded.stdout).toContain('you are welcome')
    expect(seen.length).toBe(2)
    expect(seen[1]).toEqual(seen[0])
    expect(seen[0]?.includes(cookie)).toBe(true)
  })

  it('is refused where a rule says so, and the command runs without', async () => {
    const strict = await startSshGateway({
      server,
      rules: [ALLOW_ALL, { id: 'no-x', effect: 'deny', match: { requests: 'x11-req' } }],
    })
    const env = { DISPLAY: '127.0.0.1:799' }
    const { stdout, code } = await strict.ssh(['echo "[$DISPLAY]"'], { options: ['-Y'], env })
    expect({ stdout, code }).toEqual({ stdout: '[]\n', code: 0 })
    await strict.stop()
  })
})

describe('the record of all of it', () => {
  it('has an end, and is verified', async () => {
    await gateway.gateway.drain(500)
    const recordings = await verifiedRecordings(store)
    const commands = recordings.flat().filter(({ type }) => type === 'command')
    const vias = new Set(commands.map(({ via }) => via))
    for (const via of ['direct-tcpip', 'direct-streamlocal@openssh.com', 'tcpip-forward', 'x11-req']) {
      expect(vias).toContain(via)
    }
  })
})
