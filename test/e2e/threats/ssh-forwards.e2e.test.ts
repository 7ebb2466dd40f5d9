import { spawn } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SshWriter } from '../../../src/core/index.js'
import type { Rule } from '../../../src/policy/index.js'
import { freePort } from '../../support/sshd.js'
import { finished, startSshGateway, type TestSshGateway } from '../../support/ssh-gateway.js'
import { message, reader, sshText, SshWire } from '../../support/ssh-wire.js'
import { REMOTE, type SshWorld, startSshWorld, until } from './ssh-support.js'

/** Commands are allowed; nothing says anything about what else a connection can carry. */
const COMMANDS: Rule = { id: 'commands', effect: 'allow', evenIfUnparsed: true, match: { kinds: 'shell' } }

let world: SshWorld
/** Somebody behind the target: whoever connects has got through. */
let behind: Server
let reached = 0

beforeAll(async () => {
  world = await startSshWorld({ rules: [COMMANDS] })
  behind = createServer((socket) => {
    reached++
    socket.on('error', () => {})
    socket.end('reached')
  })
  behind.listen(0, '127.0.0.1')
  await once(behind, 'listening')
})

afterAll(async () => {
  behind?.close()
  await world?.stop()
})

const behindPort = (): number => (behind.address() as AddressInfo).port
const FORWARDED = /ctype (?!session)|rtype (tcpip|streamlocal|cancel)| req (auth-agent|agent|x11|tun)/

function knock(port: number): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    const socket = connect(port, '127.0.0.1')
    socket.on('data', (chunk) => {
      text += chunk.toString()
    })
    socket.on('error', () => {})
    socket.once('close', () => resolve(text))
  })
}

const listens = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })

const direct = (host: string, port: number): Buffer =>
  new SshWriter().text(host).u32(port).text('127.0.0.1').u32(40_000).take()

/** What an open is answered with: 91, or the reason for which it failed. */
async function openOf(wire: SshWire, kind: string, data: Buffer): Promise<string> {
  wire.send(message.open(kind, 3, 2_097_152, 32_768, data))
  const answer = await wire.until(91, 92)
  return answer[0] === 91 ? 'open' : `failure ${answer.readUInt32BE(5)}`
}

const login = (gateway: TestSshGateway = world.gateway): Promise<SshWire> =>
  SshWire.login(gateway.port, gateway.keyFile)

describe('SSH-1 what no rule allows', () => {
  it('SSH-1 every kind of channel but a session is refused, and the target hears of none', async () => {
    const mark = world.mark()
    const wire = await login()
    const port = behindPort()
    expect(await openOf(wire, 'direct-tcpip', direct('127.0.0.1', port))).toBe('failure 1')
    const socket = new SshWriter().text('/var/run/docker.sock').text('').u32(0).take()
    expect(await openOf(wire, 'direct-streamlocal@openssh.com', socket)).toBe('failure 1')
    const tun = new SshWriter().u32(1).u32(0).take()
    const others: [string, Buffer][] = [
      ['tun@openssh.com', tun],
      ['forwarded-tcpip', direct('127.0.0.1', port)],
      ['forwarded-streamlocal@openssh.com', sshText('/tmp/x', '')],
      ['x11', new SshWriter().text('127.0.0.1').u32(6_000).take()],
      ['auth-agent@openssh.com', Buffer.alloc(0)],
      ['auth-agent', Buffer.alloc(0)],
      ['direct-udp', direct('127.0.0.1', port)],
      ['Session', Buffer.alloc(0)],
      ['mux@example.com', Buffer.alloc(0)],
    ]
    for (const [kind, data] of others) expect([kind, await openOf(wire, kind, data)]).toEqual([kind, 'failure 3'])
    expect(await wire.exec('echo the session lives on')).toMatchObject({ stdout: 'the session lives on\n' })
    wire.close()
    expect(reached).toBe(0)
    expect(world.logSince(mark)).not.toMatch(FORWARDED)
  })

  it('SSH-1 every request to listen is refused, and the target hears of none', async () => {
    const mark = world.mark()
    const wire = await login()
    const from = wire.seen.length
    const requests: [string, Buffer][] = [
      ['tcpip-forward', new SshWriter().text('').u32(0).take()],
      ['tcpip-forward', new SshWriter().text('0.0.0.0').u32(8_080).take()],
      ['streamlocal-forward@openssh.com', sshText('/tmp/listening')],
      ['cancel-tcpip-forward', new SshWriter().text('').u32(0).take()],
      ['cancel-streamlocal-forward@openssh.com', sshText('/tmp/listening')],
    ]
    for (const [name, data] of requests) {
      wire.send(message.global(name, true, data))
      expect([name, (await wire.until(81, 82))[0]]).toEqual([name, 82])
      wire.send(message.global(name, false, data))
    }
    await wire.settle()
    expect(wire.types(from)).not.toContain(81)
    wire.close()
    expect(existsSync('/tmp/listening')).toBe(false)
    expect(world.logSince(mark)).not.toMatch(FORWARDED)
  })

  it('SSH-1 SSH-7 what a session lends (agent, display, terminal) is refused, and the target hears of none', async () => {
    const mark = world.mark()
    const wire = await login()
    const id = await wire.openSession()
    const x11 = new SshWriter().boolean(false).text('MIT-MAGIC-COOKIE-1').text('00').u32(0).take()
    for (const [name, data] of [
      ['auth-agent-req@openssh.com', Buffer.alloc(0)],
      ['auth-agent-req', Buffer.alloc(0)],
      ['agent-req', Buffer.alloc(0)],
      ['x11-req', x11],
      ['tun@openssh.com', Buffer.alloc(0)],
    ] as const) {
      wire.send(message.request(id, name, true, data))
      expect([name, (await wire.until(99, 100))[0]]).toEqual([name, 100])
    }
    wire.send(message.request(id, 'exec', true, sshText('echo "[$SSH_AUTH_SOCK$DISPLAY]"')))
    await wire.until(97)
    expect(wire.output().toString()).toBe('[]\n')
    wire.close()
    expect(world.logSince(mark)).not.toMatch(FORWARDED)
  })

  it('SSH-1 real ssh gets nowhere with -L, -D and -W, and its command goes on', async () => {
    const { gateway } = world
    const mark = world.mark()
    const [local, dynamic, unix] = [await freePort(), await freePort(), join(gateway.folder, 'unix')]
    const child = gateway.spawnSsh(['cat'], {
      options: [
        ...['-L', `127.0.0.1:${local}:127.0.0.1:${behindPort()}`, '-D', `127.0.0.1:${dynamic}`],
        ...['-L', `${unix}:/var/run/docker.sock`],
      ],
    })
    const done = finished.bind(undefined, child, 'still here')
    await until(async () => (await listens(local)) && existsSync(unix))
    expect(await knock(local)).toBe('')
    const port = behindPort()
    const socks = connect(dynamic, '127.0.0.1')
    socks.write(Buffer.of(5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, port >> 8, port & 255))
    const said: Buffer[] = []
    socks.on('data', (chunk: Buffer) => said.push(chunk))
    await once(socks, 'close')
    expect(Buffer.concat(said).toString()).not.toContain('reached')
    const viaUnix = connect(unix)
    await once(viaUnix.resume(), 'close')
    expect(await done()).toMatchObject({ stdout: 'still here' })
    const w = await world.program('ssh', [
      ...gateway.sshOptions,
      ...['-p', String(gateway.port), '-W', `127.0.0.1:${port}`, REMOTE],
    ])
    expect(w.stdout).toBe('')
    expect(w.code).not.toBe(0)
    expect(reached).toBe(0)
    expect(world.logSince(mark)).not.toMatch(FORWARDED)
  })

  it('SSH-1 real ssh gets nowhere with -R, of ports and of sockets', async () => {
    const port = await freePort()
    for (const forward of [
      `127.0.0.1:${port}:127.0.0.1:${behindPort()}`,
      `${port}`,
      `/tmp/socket-${process.pid}:/tmp/x`,
    ]) {
      const mark = world.mark()
      const result = await world.gateway.ssh(['echo forwarded'], {
        options: ['-o', 'ExitOnForwardFailure=yes', '-R', forward],
      })
      expect(result).toMatchObject({ stdout: '', code: 255 })
      expect(await listens(port)).toBe(false)
      expect(world.logSince(mark)).not.toMatch(FORWARDED)
    }
  })

  it('SSH-1 a nested ssh through -J does not reach its host', async () => {
    const { gateway, server } = world
    const mark = world.mark()
    const proxy = `ssh ${gateway.sshOptions.join(' ')} -p ${gateway.port} -W %h:%p ${REMOTE}`
    const jumped = await world.program('ssh', [
      ...['-o', `ProxyCommand=${proxy}`, '-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null'],
      ...['-F', '/dev/null', '-o', 'BatchMode=yes', '-i', server.privateKeyFile, '-p', String(server.port)],
      `${server.user}@127.0.0.1`,
      'echo jumped',
    ])
    expect(jumped).toMatchObject({ stdout: '', code: 255 })
    expect(world.logSince(mark)).not.toMatch(FORWARDED)
  })

  it('SSH-1 real ssh gets neither tunnel nor display, with -w and -X', async () => {
    const mark = world.mark()
    const w = await world.gateway.ssh(['echo over'], { options: ['-w', '0:0', '-o', 'Tunnel=point-to-point'] })
    expect(w.stdout).not.toContain('tun')
    const x = await world.gateway.ssh(['echo "[$DISPLAY]"'], { options: ['-X'], env: { DISPLAY: '127.0.0.1:0' } })
    expect(x.stdout).toBe('[]\n')
    expect(world.logSince(mark)).not.toMatch(FORWARDED)
  })
})

describe('SSH-7 agents', () => {
  it('SSH-7 an agent is not lent by default, though ssh -A offers it', async () => {
    const { gateway } = world
    const socket = join(gateway.folder, 'agent')
    const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' })
    await until(() => existsSync(socket))
    const env = { SSH_AUTH_SOCK: socket }
    await world.program('ssh-add', ['-q', gateway.keyFile], { env })
    const mark = world.mark()
    const result = await gateway.ssh(['echo "[$SSH_AUTH_SOCK]"; ssh-add -l'], {
      options: ['-A', '-o', `IdentityAgent=${socket}`],
      env,
    })
    expect(result.stdout).toBe('[]\n')
    expect(world.logSince(mark)).not.toMatch(FORWARDED)
    agent.kill()
  })

  it('SSH-7 it can be held for an approval, each time it is asked for', async () => {
    const holding = await startSshGateway({
      server: world.server,
      rules: [COMMANDS, { id: 'ask', effect: 'hold', match: { requests: 'auth-agent-req@openssh.com' } }],
    })
    const wire = await login(holding)
    for (const isApproved of [false, true]) {
      const id = await wire.openSession()
      wire.send(message.request(id, 'auth-agent-req@openssh.com', true))
      await until(() => holding.broker.list().length === 1)
      const hold = holding.broker.list()[0]?.id ?? ''
      if (isApproved) holding.broker.approve(hold, { id: 'bob', type: 'human' })
      else holding.broker.reject(hold, { id: 'bob', type: 'human' }, 'no')
      expect((await wire.until(99, 100))[0]).toBe(isApproved ? 99 : 100)
    }
    wire.close()
    await holding.stop()
  })
})

describe('SSH-1 where a rule allows some', () => {
  it('SSH-1 hosts and ports are judged one by one, before the target hears of them', async () => {
    const port = behindPort()
    const some = await startSshGateway({
      server: world.server,
      rules: [
        COMMANDS,
        { id: 'db', effect: 'allow', match: { requests: 'direct-tcpip', hosts: '127.0.0.1', ports: port } },
      ],
    })
    const wire = await login(some)
    const mark = world.mark()
    expect(await openOf(wire, 'direct-tcpip', direct('127.0.0.1', port))).toBe('open')
    for (const [host, other] of [
      ['127.0.0.1', port + 1],
      ['127.0.0.2', port],
      ['localhost', port],
      ['127.0.0.1.nip.io', port],
      ['evil127.0.0.1', port],
      ['127.0.0.1 ', port],
      ['', port],
      ['*', port],
      ['::1', port],
      [`127.0.0.1:${port}`, 22],
    ] as const) {
      expect([host, other, await openOf(wire, 'direct-tcpip', direct(host, other))]).toEqual([host, other, 'failure 1'])
    }
    expect(
      await openOf(wire, 'direct-streamlocal@openssh.com', new SshWriter().text('127.0.0.1').text('').u32(0).take()),
    ).toBe('failure 1')
    expect(world.logSince(mark).match(/ctype direct-tcpip/g)?.length).toBe(1)
    wire.close()
    await some.stop()
  })

  it('SSH-1 an address that a rule denies is denied in every spelling', async () => {
    const port = behindPort()
    const before = reached
    const most = await startSshGateway({
      server: world.server,
      rules: [
        { id: 'most', effect: 'allow', evenIfUnparsed: true },
        { id: 'not-here', effect: 'deny', match: { kinds: 'port-forward', hosts: ['127.0.0.1', '::1', 'localhost'] } },
      ],
    })
    const wire = await login(most)
    const spellings = [
      '127.0.0.1',
      '127.1',
      '127.0.1',
      '2130706433',
      '0x7f000001',
      '0x7f.1',
      '0177.0.0.1',
      '017700000001',
      '127.0.0.01',
      '::1',
      '0:0:0:0:0:0:0:1',
      '::ffff:127.0.0.1',
      '::ffff:7f00:1',
      'LOCALHOST',
      'localhost.',
    ]
    for (const host of spellings) {
      expect([host, await openOf(wire, 'direct-tcpip', direct(host, port))]).toEqual([host, 'failure 1'])
    }
    expect(reached).toBe(before)
    wire.close()
    await most.stop()
  })

  it('SSH-1 sockets of the target are judged as its files', async () => {
    const path = join(world.server.home, 'socket')
    writeFileSync(join(world.server.home, 'x'), '')
    const some = await startSshGateway({
      server: world.server,
      rules: [
        { id: 'most', effect: 'allow', evenIfUnparsed: true },
        { id: 'docker', effect: 'deny', match: { kinds: 'port-forward', files: ['**/docker.sock', path] } },
      ],
    })
    const wire = await login(some)
    const open = (socket: string): Promise<string> =>
      openOf(wire, 'direct-streamlocal@openssh.com', new SshWriter().text(socket).text('').u32(0).take())
    for (const socket of [
      '/var/run/docker.sock',
      '/run/docker.sock',
      '/run/../run//docker.sock',
      path,
      `${world.server.home}/./socket`,
    ]) {
      expect([socket, await open(socket)]).toEqual([socket, 'failure 1'])
    }
    const mark = world.mark()
    expect(await open('/tmp/nobody-listens')).toBe('failure 2')
    expect(world.logSince(mark)).toContain('streamlocal')
    wire.close()
    await some.stop()
  })

  it('SSH-1 ports beyond 16 bits, NULs, and data beyond the last field, end the connection or are refused', async () => {
    const most = await startSshGateway({ server: world.server })
    const bad: [string, Buffer][] = [
      ['direct-tcpip', direct('127.0.0.1', 65_536 + 22)],
      ['direct-tcpip', direct('127.0.0.1', 0xffff_ffff)],
      ['direct-tcpip', Buffer.concat([direct('127.0.0.1', 22), Buffer.of(0)])],
      ['direct-tcpip', direct('127.0.0.1', 22).subarray(0, 20)],
      ['direct-tcpip', Buffer.from('ffffffff00', 'hex')],
      ['direct-streamlocal@openssh.com', sshText('/tmp/x')],
    ]
    for (const [kind, data] of bad) {
      const wire = await login(most)
      wire.send(message.open(kind, 1, 1_000, 32_768, data))
      await wire.untilClosed()
      expect(wire.types()).not.toContain(91)
    }
    const mark = world.mark()
    for (const host of ['127.0.0.1\0.example.com', '127.0.0.1\n', 'a\u202eb']) {
      const wire = await login(most)
      wire.send(message.open('direct-tcpip', 1, 1_000, 32_768, direct(host, behindPort())))
      const answer = await wire.until(1, 91, 92)
      expect([host, answer[0]]).not.toEqual([host, 91])
      wire.close()
    }
    expect(world.logSince(mark)).not.toContain('Connection from 127.0.0.1\n')
    await most.stop()
  })

  it('SSH-1 a listener that was allowed gives back only what comes in by it, until it is cancelled', async () => {
    const some = await startSshGateway({
      server: world.server,
      rules: [COMMANDS, { id: 'listen', effect: 'allow', match: { requests: 'tcpip-forward', hosts: '127.0.0.1' } }],
    })
    const wire = await login(some)
    const request = (port: number): Buffer => new SshWriter().text('127.0.0.1').u32(port).take()
    wire.send(message.global('tcpip-forward', true, new SshWriter().text('0.0.0.0').u32(0).take()))
    expect((await wire.until(81, 82))[0]).toBe(82)
    wire.send(message.global('tcpip-forward', true, request(0)))
    const granted = await wire.until(81, 82)
    const port = granted.readUInt32BE(1)
    const visit = knock(port)
    const open = await wire.until(90)
    const read = reader(open, 1)
    expect(read.text()).toBe('forwarded-tcpip')
    wire.send(new SshWriter().u8(92).u32(read.uint32()).u32(1).text('no').text('').take())
    expect(await visit).toBe('')
    wire.send(message.global('cancel-tcpip-forward', true, request(port)))
    expect((await wire.until(81, 82))[0]).toBe(81)
    expect(await listens(port)).toBe(false)
    wire.close()
    await some.stop()
  })
})
