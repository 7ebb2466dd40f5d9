import { spawnSync } from 'node:child_process'
import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { copyFileSync, readFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { join } from 'node:path'
import { once } from 'node:events'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { SshWriter } from '../../../src/core/index.js'
import { pinnedHostKeys } from '../../../src/credentials/ssh/index.js'
import { SSH_ALGORITHMS } from '../../../src/gateway/ssh/algorithms.js'
import { system } from '../../../src/gateway/index.js'
import { createSshIdentity, sshTrust } from '../../../src/identity/ssh/index.js'
import { makeKey, runKeygen } from '../../support/sshd.js'
import { startSshGateway } from '../../support/ssh-gateway.js'
import {
  type ExchangeOptions,
  message,
  publicBlob,
  readPrivateKey,
  SshWire,
  sshText,
  startWireServer,
} from '../../support/ssh-wire.js'
import { type SshWorld, startSshWorld, until } from './ssh-support.js'

let world: SshWorld
let key: KeyObject
const uncaught: unknown[] = []
const onUncaught = (error: unknown): void => void uncaught.push(error)

beforeAll(async () => {
  process.on('uncaughtException', onUncaught)
  world = await startSshWorld()
  key = readPrivateKey(world.gateway.keyFile)
})

afterAll(async () => {
  process.off('uncaughtException', onUncaught)
  await world?.stop()
})

afterEach(() => {
  if (uncaught.length > 0) throw new Error('something was thrown that nobody caught', { cause: uncaught[0] })
  world.failures.length = 0
})

const port = (): number => world.gateway.port
const IGNORE = new SshWriter().u8(2).text('junk').take()
const DEBUG = new SshWriter().u8(4).boolean(true).text('junk').text('').take()
const UNIMPLEMENTED = new SshWriter().u8(3).u32(0).take()
const EXT_INFO = new SshWriter().u8(7).u32(1).text('ping@openssh.com').text('0').take()
const SERVICE = new SshWriter().u8(5).text('ssh-userauth').take()
const NONE = new SshWriter().u8(50).text('alice+web').text('ssh-connection').text('none').take()
const EMPTY = Buffer.alloc(0)

/** Keys are exchanged; nobody is let in. */
async function stranger(options: ExchangeOptions = {}): Promise<SshWire> {
  const wire = await SshWire.connect(port())
  await wire.exchange(options)
  return wire
}

/** Ends without anybody having been let in. */
async function turnedAway(wire: SshWire): Promise<void> {
  await wire.untilClosed()
  expect(wire.types()).not.toContain(52)
}

async function works(): Promise<void> {
  const wire = await SshWire.login(port(), world.gateway.keyFile)
  expect(await wire.exec('echo alive')).toMatchObject({ stdout: 'alive\n', status: 0 })
  wire.close()
}

describe('the state machine before authentication', () => {
  it('is passed by the client of these tests, when it keeps to the rules', async () => {
    await works()
    for (const cipher of ['aes128-gcm@openssh.com', 'aes128-ctr'] as const) {
      const wire = await stranger({ cipher })
      await wire.authenticate('alice+web', key)
      await wire.exchange({ cipher, resetsSequence: true })
      expect(await wire.exec('echo rekeyed')).toMatchObject({ stdout: 'rekeyed\n', status: 0 })
      wire.close()
    }
  })

  it('SSH-5 USERAUTH_SUCCESS from the client, at any step, lets nobody in (CVE-2018-10933)', async () => {
    const steps: ((wire: SshWire) => Promise<void>)[] = [
      async () => {},
      (wire) => wire.requestService(),
      async (wire) => {
        await wire.requestService()
        wire.send(wire.publicKeyRequest({ user: 'alice+web', key, hasSignature: false }))
        await wire.until(60)
      },
    ]
    for (const step of steps) {
      const wire = await stranger()
      await step(wire)
      wire.send(Buffer.of(52), message.open('session', 0))
      await turnedAway(wire)
      expect(wire.types()).not.toContain(91)
    }
    await until(() => world.failures.length === 3)
    expect(world.failures.map(({ code }) => code)).toEqual(Array(3).fill('protocol_violation'))
  })

  it('SSH-5 nothing behind a forbidden message counts, not even a valid log-in', async () => {
    const wire = await stranger()
    await wire.requestService()
    const login = wire.publicKeyRequest({ user: 'alice+web', key })
    const sessions: unknown[] = []
    const onReady = (info: unknown): void => void sessions.push(info)
    world.gateway.gateway.events.on('ready', onReady)
    wire.sendRaw(Buffer.concat([Buffer.of(52), login].map((payload) => wire.seal(payload))))
    await turnedAway(wire)
    await new Promise((resolve) => setTimeout(resolve, 100))
    world.gateway.gateway.events.off('ready', onReady)
    expect(sessions).toEqual([])
  })

  const CONNECTION: [string, Buffer][] = [
    ['CHANNEL_OPEN', message.open('session', 0)],
    ['CHANNEL_REQUEST exec', message.request(0, 'exec', true, sshText('touch /tmp/pwned'))],
    ['CHANNEL_DATA', message.data(0, 'x')],
    ['GLOBAL_REQUEST', message.global('keepalive@openssh.com', true)],
    ['GLOBAL_REQUEST tcpip-forward', message.global('tcpip-forward', true, sshText('127.0.0.1'))],
    ['REQUEST_SUCCESS', Buffer.of(81)],
    ['CHANNEL_CLOSE', message.close(0)],
    ['CHANNEL_SUCCESS', message.success(0)],
    ['number 80 alone', Buffer.of(80)],
    ['number 127', Buffer.of(127)],
    ['number 192', Buffer.of(192, 0, 0, 0, 0)],
    ['number 255', Buffer.of(255)],
  ]
  it.each(CONNECTION)('SSH-5 %s before authentication ends the connection (CVE-2025-32433)', async (_name, payload) => {
    const mark = world.mark()
    for (const isInService of [false, true]) {
      const wire = await stranger()
      if (isInService) await wire.requestService()
      wire.send(payload)
      await turnedAway(wire)
      expect(wire.disconnectText).toBe('protocol error')
    }
    expect(world.logSince(mark)).toBe('')
  })

  it('SSH-5 an open and an exec in one segment with the log-in are answered after it, or not at all', async () => {
    const wire = await stranger()
    await wire.requestService()
    const request = wire.publicKeyRequest({ user: 'alice+web', key, signature: randomBytes(83) })
    wire.send(request, message.open('session', 0), message.request(0, 'exec', true, sshText('id')))
    await turnedAway(wire)
  })

  it('SSH-5 messages of the server’s half end the connection', async () => {
    const fromServer = [6, 51, 53, 60, 63, 65, 66, 79]
    for (const number of fromServer) {
      const wire = await stranger()
      await wire.requestService()
      wire.send(new SshWriter().u8(number).text('ssh-connection').text('').take())
      await turnedAway(wire)
    }
  })

  it('SSH-5 answers to questions nobody asked let nobody in', async () => {
    const wire = await stranger()
    await wire.requestService()
    wire.send(new SshWriter().u8(61).u32(1).text('token').take(), message.open('session', 0))
    await turnedAway(wire)
  })

  it('SSH-5 other services than authentication are not begun', async () => {
    for (const name of ['ssh-connection', '', 'ssh-userauth\0', 'x'.repeat(30_000)]) {
      const wire = await stranger()
      wire.send(new SshWriter().u8(5).text(name).take(), message.open('session', 0))
      await turnedAway(wire)
      expect(wire.types()).not.toContain(6)
    }
  })

  it('SSH-5 authentication without its service being asked for lets nobody in unseen', async () => {
    const wire = await stranger()
    wire.send(NONE)
    const answer = await wire.next()
    expect([undefined, 1, 51]).toContain(answer?.[0])
    wire.close()
  })
})

describe('keys and signatures', () => {
  it('SSH-5 a query without a signature lets nobody in, however often (CVE-2023-43660)', async () => {
    const wire = await stranger()
    await wire.requestService()
    for (let i = 0; i < 3; i++) {
      wire.send(wire.publicKeyRequest({ user: 'alice+web', key, hasSignature: false }))
      expect((await wire.until(51, 60))[0]).toBe(60)
    }
    wire.send(message.open('session', 0))
    await turnedAway(wire)
  })

  it('SSH-5 who asked about one key and signs with another is that other one (CVE-2024-45337)', async () => {
    const other = generateKeyPairSync('ed25519').privateKey
    const wire = await stranger()
    await wire.requestService()
    wire.send(wire.publicKeyRequest({ user: 'alice+web', key, hasSignature: false }))
    await wire.until(60)
    wire.send(wire.publicKeyRequest({ user: 'alice+web', key: other }))
    expect((await wire.until(51, 52, 1))[0]).toBe(51)
    wire.send(wire.publicKeyRequest({ user: 'alice+web', key: other, blob: publicBlob(key) }))
    expect((await wire.until(51, 52, 1))[0]).toBe(51)
    wire.close()
  })

  const elsewhere = randomBytes(32)
  const WRONG: [string, (wire: SshWire) => Buffer][] = [
    ['another session', (wire) => wire.publicKeyRequest({ user: 'alice+web', key, signed: { sessionId: elsewhere } })],
    ['another user', (wire) => wire.publicKeyRequest({ user: 'alice+web', key, signed: { user: 'alice+db' } })],
    ['another service', (wire) => wire.publicKeyRequest({ user: 'alice+web', key, signed: { service: 'ssh-x' } })],
    [
      'another algorithm',
      (wire) => wire.publicKeyRequest({ user: 'alice+web', key, signed: { algorithm: 'rsa-sha2-256' } }),
    ],
    ['another key', (wire) => wire.publicKeyRequest({ user: 'alice+web', key, signed: { blob: randomBytes(51) } })],
    ['nothing', (wire) => wire.publicKeyRequest({ user: 'alice+web', key, signature: EMPTY })],
    [
      'an empty signature',
      (wire) => wire.publicKeyRequest({ user: 'alice+web', key, signature: sshText('ssh-ed25519', '') }),
    ],
    [
      'a signature of zeros',
      (wire) =>
        wire.publicKeyRequest({
          user: 'alice+web',
          key,
          signature: new SshWriter().text('ssh-ed25519').string(Buffer.alloc(64)).take(),
        }),
    ],
    [
      'a signature named otherwise',
      (wire) =>
        wire.publicKeyRequest({
          user: 'alice+web',
          key,
          signature: new SshWriter().text('ssh-rsa').string(Buffer.alloc(64, 1)).take(),
        }),
    ],
    [
      'an algorithm that is not the key’s',
      (wire) => wire.publicKeyRequest({ user: 'alice+web', key, algorithm: 'ssh-rsa' }),
    ],
    ['an unknown algorithm', (wire) => wire.publicKeyRequest({ user: 'alice+web', key, algorithm: 'none' })],
    [
      'a key of no length',
      (wire) => wire.publicKeyRequest({ user: 'alice+web', key, blob: sshText('ssh-ed25519', '') }),
    ],
  ]
  it.each(WRONG)('SSH-5 a signature over %s lets nobody in', async (_name, request) => {
    const wire = await stranger()
    await wire.requestService()
    wire.send(request(wire))
    const answer = await wire.next()
    expect([undefined, 1, 51]).toContain(answer?.[0])
    wire.send(message.open('session', 0))
    await turnedAway(wire)
  })

  it('SSH-5 a signature of another connection is not taken', async () => {
    const first = await stranger()
    await first.requestService()
    const replayed = first.publicKeyRequest({ user: 'alice+web', key })
    const second = await stranger()
    await second.requestService()
    second.send(replayed)
    expect((await second.until(51, 52))[0]).toBe(51)
    first.close()
    second.close()
  })

  it('SSH-5 a user name or a service that changes on the way ends the connection', async () => {
    const other: Parameters<SshWire['publicKeyRequest']>[0][] = [
      { user: 'root+web', key },
      { user: 'alice+db', key },
      { user: 'alice+web', key, service: 'ssh-userauth' },
      { user: 'alice+web\0', key },
    ]
    for (const change of other) {
      const wire = await stranger()
      await wire.requestService()
      wire.send(wire.publicKeyRequest({ user: 'alice+web', key, hasSignature: false }))
      await wire.until(60)
      wire.send(wire.publicKeyRequest(change))
      await turnedAway(wire)
    }
  })

  it('SSH-5 a user name that changes after a pending request is not let in as the other', async () => {
    const wire = await stranger()
    await wire.requestService()
    // Both in one segment: the second comes while the first is being decided on.
    wire.sendRaw(
      Buffer.concat([
        wire.seal(wire.publicKeyRequest({ user: 'root+web', key })),
        wire.seal(wire.publicKeyRequest({ user: 'alice+web', key })),
      ]),
    )
    await turnedAway(wire)
  })

  it('SSH-5 requests to be let in, after one is, are passed over without an answer', async () => {
    const wire = await SshWire.login(port(), world.gateway.keyFile)
    const from = wire.seen.length
    wire.send(wire.publicKeyRequest({ user: 'root+web', key }), NONE)
    expect(await wire.exec('echo same')).toMatchObject({ stdout: 'same\n' })
    expect(wire.types(from)).not.toContain(51)
    expect(wire.types(from)).not.toContain(52)
    wire.close()
  })

  it('SSH-5 the number of attempts has an end', async () => {
    const wire = await stranger()
    await wire.requestService()
    for (let i = 0; i < 100 && !wire.isClosed; i++) {
      wire.send(wire.publicKeyRequest({ user: 'alice+web', key, signature: EMPTY }))
      const answer = await wire.next()
      if (answer === undefined || answer[0] === 1) break
    }
    await turnedAway(wire)
    expect(wire.types().filter((type) => type === 51).length).toBeLessThan(30)
  })

  it('SSH-5 certificates: one is no authority, and without principals it lets nobody in', async () => {
    const { folder } = world.gateway
    const file = (name: string): string => join(folder, name)
    for (const name of ['ca', 'leaf', 'sub']) makeKey(file(name), 'ed25519')
    runKeygen('-q', '-s', file('ca'), '-I', 'good', '-n', 'alice', `${file('leaf')}.pub`)
    const trust = sshTrust({ authorities: [{ key: readFileSync(`${file('ca')}.pub`, 'utf8') }] })
    const gateway = await startSshGateway({
      server: world.server,
      identity: createSshIdentity({ trust: () => trust, clock: system.clock }),
    })
    const attempt = (identity: string): Promise<{ stdout: string; code: number | null }> =>
      gateway.ssh(['echo in'], { options: ['-o', `IdentityFile=${file(identity)}`] })
    try {
      expect(await attempt('leaf')).toMatchObject({ stdout: 'in\n', code: 0 })
      // Signed by the certified key, not by the authority (CVE-2025-49825).
      runKeygen('-q', '-s', file('leaf'), '-I', 'sub', '-n', 'alice', `${file('sub')}.pub`)
      expect((await attempt('sub')).code).toBe(255)
      for (const principals of [[], ['-n', 'bob'], ['-n', 'alice+web'], ['-n', '*']]) {
        makeKey(file(`empty${principals.length}${principals[1] ?? ''}`.replace(/\W/g, '_')), 'ed25519')
        const name = `empty${principals.length}${principals[1] ?? ''}`.replace(/\W/g, '_')
        runKeygen('-q', '-s', file('ca'), '-I', 'empty', ...principals, `${file(name)}.pub`)
        expect((await attempt(name)).code).toBe(255)
      }
      // A host certificate, an expired one, and the certificate of a key that is not there to sign.
      for (const [name, args] of [
        ['of-a-host', ['-h', '-n', 'alice']],
        ['old', ['-n', 'alice', '-V', '-2d:-1d']],
        ['critical', ['-n', 'alice', '-O', 'critical:unknown@example.com=1']],
        ['away', ['-n', 'alice', '-O', 'source-address=192.0.2.1/32']],
      ] as const) {
        makeKey(file(name), 'ed25519')
        runKeygen('-q', '-s', file('ca'), '-I', name, ...args, `${file(name)}.pub`)
        expect([name, (await attempt(name)).code]).toEqual([name, 255])
      }
      makeKey(file('thief'), 'ed25519')
      copyFileSync(`${file('leaf')}-cert.pub`, `${file('thief')}-cert.pub`)
      expect((await attempt('thief')).code).toBe(255)
    } finally {
      await gateway.stop()
    }
  })
})

describe('SSH-6 strict key exchange', () => {
  it('SSH-6 is announced to both sides, and no weak algorithm with it', async () => {
    const wire = await stranger()
    expect(wire.peerOffer[0]).toContain('kex-strict-s-v00@openssh.com')
    wire.close()
    let offered: readonly (readonly string[])[] = []
    const target = await startWireServer(async (peer) => {
      offered = peer.peerOffer
      peer.close()
    })
    const gateway = await startSshGateway({
      server: { ...world.server, port: target.port },
      hostKeys: pinnedHostKeys([target.hostKeyLine]),
    })
    await gateway.ssh(['true'])
    expect(offered[0]).toContain('kex-strict-c-v00@openssh.com')
    for (const lists of [wire.peerOffer, offered]) {
      expect(lists.flat().join(' ')).not.toMatch(/cbc|sha1\b|zlib|3des|arcfour|group1-|group-exchange|md5|ssh-dss|umac/)
      expect(lists.slice(6, 8).flat()).toEqual(['none', 'none'])
    }
    await gateway.stop()
    target.stop()
  })

  const EXTRA: [string, ExchangeOptions][] = [
    ['IGNORE before KEXINIT', { beforeKexInit: [IGNORE] }],
    ['DEBUG before KEXINIT', { beforeKexInit: [DEBUG] }],
    ['UNIMPLEMENTED before KEXINIT', { beforeKexInit: [UNIMPLEMENTED] }],
    ['an empty packet before KEXINIT', { beforeKexInit: [EMPTY] }],
    ['IGNORE before the exchange', { beforeExchange: [IGNORE] }],
    ['DEBUG before the exchange', { beforeExchange: [DEBUG] }],
    ['UNIMPLEMENTED before the exchange', { beforeExchange: [UNIMPLEMENTED] }],
    ['an empty packet before the exchange', { beforeExchange: [EMPTY] }],
    ['EXT_INFO before the exchange', { beforeExchange: [EXT_INFO] }],
    ['SERVICE_REQUEST before the exchange', { beforeExchange: [SERVICE] }],
    ['NEWKEYS before the exchange', { beforeExchange: [Buffer.of(21)] }],
    ['IGNORE before NEWKEYS', { beforeNewKeys: [IGNORE] }],
    ['DEBUG before NEWKEYS', { beforeNewKeys: [DEBUG] }],
    ['UNIMPLEMENTED before NEWKEYS', { beforeNewKeys: [UNIMPLEMENTED] }],
    ['EXT_INFO before NEWKEYS', { beforeNewKeys: [EXT_INFO] }],
    ['an empty packet before NEWKEYS', { beforeNewKeys: [EMPTY] }],
    ['USERAUTH_REQUEST before NEWKEYS', { beforeNewKeys: [NONE] }],
    ['USERAUTH_SUCCESS before NEWKEYS', { beforeNewKeys: [Buffer.of(52)] }],
    ['CHANNEL_OPEN before NEWKEYS', { beforeNewKeys: [message.open('session', 0)] }],
    [
      'a second exchange before NEWKEYS',
      { beforeNewKeys: [new SshWriter().u8(30).string(Buffer.alloc(32, 9)).take()] },
    ],
    ['a reply in place of a question', { beforeExchange: [new SshWriter().u8(31).text('').text('').text('').take()] }],
    ['an unknown number in the exchange', { beforeExchange: [Buffer.of(49)] }],
  ]
  for (const [name, options] of EXTRA) {
    it(`SSH-6 ${name} ends the connection`, async () => {
      const wire = await SshWire.connect(port())
      const outcome = wire.exchange(options).then(
        () => 'exchanged',
        () => 'ended',
      )
      if ((await outcome) === 'exchanged') {
        wire.send(SERVICE)
        const answer = await wire.next()
        expect([undefined, 1]).toContain(answer?.[0])
      }
      await turnedAway(wire)
      expect(wire.types()).not.toContain(6)
    })
  }

  const OF_TARGET = EXTRA.filter(([name]) => !/question|second exchange|SERVICE|USERAUTH_REQUEST/.test(name))
  it.each(OF_TARGET)('SSH-6 %s, of the target, gets no log-in', async (_name, options) => {
    const seen: number[] = []
    const target = await startWireServer(
      async (peer) => {
        for (let next = await peer.next(); next !== undefined; next = await peer.next()) seen.push(next[0] as number)
      },
      { ...options, asksNoLogin: true },
    )
    const gateway = await startSshGateway({
      server: { ...world.server, port: target.port },
      hostKeys: pinnedHostKeys([target.hostKeyLine]),
    })
    expect((await gateway.ssh(['true'])).code).toBe(255)
    expect(seen.filter((type) => type !== 1)).toEqual([])
    await gateway.stop()
    target.stop()
  })

  const BEFORE_LOGIN: [string, Buffer][] = [
    ['CHANNEL_OPEN', message.open('session', 0)],
    ['GLOBAL_REQUEST', message.global('hostkeys-00@openssh.com', false)],
    ['CHANNEL_DATA', message.data(1, 'x')],
    ['SERVICE_REQUEST', SERVICE],
    ['USERAUTH_REQUEST', NONE],
    ['USERAUTH_INFO_RESPONSE', new SshWriter().u8(61).u32(0).take()],
    ['NEWKEYS', Buffer.of(21)],
    ['an unknown number', Buffer.of(200)],
  ]
  it.each(BEFORE_LOGIN)('SSH-5 %s of the target before it has let us in gets no log-in', async (_name, payload) => {
    const seen: number[] = []
    const target = await startWireServer(
      async (peer) => {
        peer.send(payload)
        for (let next = await peer.next(); next !== undefined; next = await peer.next()) seen.push(next[0] as number)
      },
      { asksNoLogin: true },
    )
    const gateway = await startSshGateway({
      server: { ...world.server, port: target.port },
      hostKeys: pinnedHostKeys([target.hostKeyLine]),
    })
    const codes: string[] = []
    gateway.gateway.events.on('failed', (_info, error) => codes.push(error.code))
    expect((await gateway.ssh(['true'])).code).toBe(255)
    expect(seen).not.toContain(50)
    expect(codes).toContain('upstream_protocol_violation')
    await gateway.stop()
    target.stop()
  })

  it('SSH-6 a second KEXINIT in the exchange ends the connection', async () => {
    const wire = await SshWire.connect(port())
    wire.send(wire.kexInit(), wire.kexInit())
    await turnedAway(wire)
  })

  it('SSH-6 an exchange before any KEXINIT ends the connection, and only it', async () => {
    for (const first of [new SshWriter().u8(30).string(Buffer.alloc(32, 9)).take(), Buffer.of(21), NONE, SERVICE]) {
      const wire = await SshWire.connect(port())
      wire.send(first)
      await turnedAway(wire)
    }
    await works()
  })

  it('SSH-6 sequence numbers that were not reset break the next message', async () => {
    const wire = await stranger({ cipher: 'aes128-ctr', resetsSequence: false })
    wire.send(SERVICE)
    if (!wire.isClosed) await once(wire.socket, 'close')
    expect(wire.types()).not.toContain(6)
  })

  it('SSH-6 sequence numbers that are not reset with later keys break the next message', async () => {
    const wire = await stranger({ cipher: 'aes128-ctr' })
    await wire.requestService()
    await wire.exchange({ cipher: 'aes128-ctr', resetsSequence: false })
    wire.send(NONE)
    if (!wire.isClosed) await once(wire.socket, 'close')
    expect(wire.types()).not.toContain(51)
  })

  const DURING: [string, Buffer][] = [
    ['a channel message', message.global('keepalive@openssh.com', true)],
    ['a log-in', NONE],
    ['a service', SERVICE],
    ['EXT_INFO', EXT_INFO],
  ]
  it.each(DURING)('SSH-6 %s in the middle of new keys ends the connection', async (_name, payload) => {
    const wire = await SshWire.login(port(), world.gateway.keyFile)
    const outcome = wire.exchange({ beforeExchange: [payload] }).then(
      () => 'exchanged',
      () => 'ended',
    )
    expect(await outcome).toBe('ended')
    await wire.untilClosed()
  })

  it.each([
    ['NEWKEYS', Buffer.of(21)],
    ['KEX_ECDH_INIT', new SshWriter().u8(30).string(Buffer.alloc(32, 9)).take()],
    ['KEX_ECDH_REPLY', Buffer.of(31)],
    ['number 22', Buffer.of(22)],
    ['number 49', Buffer.of(49)],
  ])('SSH-6 %s out of any exchange ends the connection', async (_name, payload) => {
    for (const isLoggedIn of [false, true]) {
      const wire = isLoggedIn ? await SshWire.login(port(), world.gateway.keyFile) : await stranger()
      wire.send(payload)
      await wire.untilClosed()
    }
  })

  it('SSH-6 EXT_INFO is taken once and where it belongs, and DISCONNECT at any time', async () => {
    const wire = await stranger()
    wire.send(EXT_INFO)
    await wire.authenticate('alice+web', key)
    wire.send(EXT_INFO)
    await wire.untilClosed()
    const leaving = await stranger()
    leaving.send(new SshWriter().u8(1).u32(11).text('bye').text('').take())
    await leaving.untilClosed()
  })
})

describe('SSH-6 the prefix truncation of Terrapin', () => {
  /** Passes everything on, but for one plain packet that it puts in before NEWKEYS of the client. */
  async function between(targetPort: number, side: 'client' | 'server'): Promise<{ port: number; stop(): void }> {
    const junk = Buffer.concat([Buffer.of(0, 0, 0, 12, 6, 2, 0, 0, 0, 0), Buffer.alloc(6)])
    const man = createServer((down) => {
      const up = connect(targetPort, '127.0.0.1')
      const relay = (from: typeof up, to: typeof up, isAttacked: boolean): void => {
        let seen: Buffer = Buffer.alloc(0)
        let isDone = !isAttacked
        from.on('data', (chunk: Buffer) => {
          if (isDone) return void to.write(chunk)
          seen = Buffer.concat([seen, chunk])
          const ident = seen.indexOf('\n') + 1
          if (ident === 0) return
          isDone = true
          const kexInit = ident + 4 + (seen.length >= ident + 4 ? seen.readUInt32BE(ident) : 0)
          to.write(Buffer.concat([seen.subarray(0, kexInit), junk, seen.subarray(kexInit)]))
        })
        from.on('close', () => to.destroy())
        from.on('error', () => {})
      }
      relay(down, up, side === 'client')
      relay(up, down, side === 'server')
    })
    man.listen(0, '127.0.0.1')
    await once(man, 'listening')
    return { port: (man.address() as AddressInfo).port, stop: () => man.close() }
  }

  it('SSH-6 a packet put in between OpenSSH and the gateway ends the connection, from either side', async () => {
    const { gateway } = world
    for (const side of ['client', 'server'] as const) {
      const man = await between(port(), side)
      const args = [
        ...gateway.sshOptions.map((option) =>
          option === 'StrictHostKeyChecking=yes' ? 'StrictHostKeyChecking=no' : option,
        ),
        ...['-c', 'chacha20-poly1305@openssh.com', '-p', String(man.port), 'alice+web@127.0.0.1', 'echo through'],
      ]
      const result = await world.program('ssh', args)
      expect(result.stdout).toBe('')
      expect(result.code).toBe(255)
      man.stop()
    }
    const whole = await gateway.ssh(['echo through'], { options: ['-c', 'chacha20-poly1305@openssh.com'] })
    expect(whole).toMatchObject({ stdout: 'through\n', code: 0 })
  })

  it('SSH-6 a packet put in between the gateway and its target ends the connection, from either side', async () => {
    for (const side of ['client', 'server'] as const) {
      const man = await between(world.server.port, side)
      const gateway = await startSshGateway({ server: { ...world.server, port: man.port } })
      const result = await gateway.ssh(['echo through'])
      expect(result.stdout).toBe('')
      expect(result.code).toBe(255)
      await gateway.stop()
      man.stop()
    }
  })

  const WEAK_WITHOUT: [string, ExchangeOptions][] = [
    ['chacha20-poly1305', { offer: { cipher: ['chacha20-poly1305@openssh.com'] } }],
    ['encrypt-then-mac', { cipher: 'aes128-ctr' }],
  ]
  it.each(WEAK_WITHOUT)(
    'SSH-6 a client without strict key exchange is not taken with %s, which needs it',
    async (_name, options) => {
      const wire = await SshWire.connect(port())
      await wire.exchange({ ...options, isStrict: false }).catch(() => {})
      wire.send(SERVICE)
      await wire.untilClosed()
      expect(wire.types()).not.toContain(6)
    },
  )

  it('SSH-6 a client without strict key exchange is taken with AES-GCM, which does not need it', async () => {
    const wire = await stranger({ isStrict: false })
    await wire.authenticate('alice+web', key)
    expect(await wire.exec('echo old')).toMatchObject({ stdout: 'old\n' })
    wire.close()
  })

  it('SSH-6 a target without strict key exchange gets no log-in with ciphers that need it', async () => {
    for (const [cipher, mayPass] of [
      ['aes128-ctr', false],
      ['aes128-gcm@openssh.com', true],
    ] as const) {
      let hasAsked = false
      const target = await startWireServer(
        async (peer) => {
          await peer.until(5)
          hasAsked = true
          peer.close()
        },
        { cipher, isStrict: false, asksNoLogin: true },
      )
      const gateway = await startSshGateway({
        server: { ...world.server, port: target.port },
        hostKeys: pinnedHostKeys([target.hostKeyLine]),
      })
      expect((await gateway.ssh(['true'])).code).toBe(255)
      expect([cipher, hasAsked]).toEqual([cipher, mayPass])
      await gateway.stop()
      target.stop()
    }
  })
})

describe('SSH-4 SSH-6 algorithms and lengths', () => {
  const query = (what: string): string[] =>
    spawnSync('ssh', ['-Q', what], { encoding: 'utf8' }).stdout.trim().split('\n')

  it('SSH-6 of all that OpenSSH can do, what is weak is refused, each by itself', async () => {
    const refused: string[] = []
    const lists = [
      ['kex', 'kex', SSH_ALGORITHMS.kex],
      ['cipher', 'cipher', SSH_ALGORITHMS.cipher],
      ['mac', 'mac', SSH_ALGORITHMS.hmac],
      ['HostKeyAlgorithms', 'hostKey', SSH_ALGORITHMS.serverHostKey],
    ] as const
    for (const [what, field, taken] of lists) {
      for (const name of query(what)) {
        if ((taken as readonly string[]).includes(name)) continue
        // A cipher with a MAC of its own would need none.
        const offer = { ...(field === 'mac' ? { cipher: ['aes128-ctr'] } : {}), [field]: [name] }
        const wire = await SshWire.connect(port())
        wire.send(wire.kexInit({ offer }))
        await turnedAway(wire)
        expect([name, wire.types().filter((type) => type !== 20)]).toEqual([name, [1]])
        refused.push(name)
      }
    }
    expect(refused).toEqual(
      expect.arrayContaining([
        'diffie-hellman-group1-sha1',
        'diffie-hellman-group14-sha1',
        'diffie-hellman-group-exchange-sha1',
        '3des-cbc',
        'aes128-cbc',
        'hmac-md5',
        'hmac-sha1',
        'hmac-sha1-etm@openssh.com',
        'ssh-rsa',
        'ssh-dss',
      ]),
    )
  })

  it.each(['zlib', 'zlib@openssh.com'])(
    'SSH-4 compression %s is not offered, and alone it is refused',
    async (name) => {
      const wire = await SshWire.connect(port())
      wire.send(wire.kexInit({ offer: { compression: [name] } }))
      await turnedAway(wire)
      const result = await world.gateway.ssh(['echo plain'], { options: ['-C'] })
      expect(result).toMatchObject({ stdout: 'plain\n', code: 0 })
    },
  )

  it('SSH-4 lengths of packets beyond the limit end the connection from their first bytes', async () => {
    const lengths = [0, 1, 4, 7, 35_001, 40_000, 262_144, 0x7fff_fff8, 0x8000_0000, 0xffff_fff8, 0xffff_ffff]
    for (const length of lengths) {
      const head = Buffer.alloc(20)
      head.writeUInt32BE(length)
      const plain = await SshWire.connect(port())
      plain.sendRaw(head)
      await turnedAway(plain)
      for (const isLoggedIn of [false, true]) {
        const wire = isLoggedIn ? await SshWire.login(port(), world.gateway.keyFile) : await stranger()
        // Of AES-GCM the length is readable, and not yet authenticated.
        wire.sendRaw(head)
        await wire.untilClosed()
      }
    }
    await works()
  })

  it('SSH-4 padding that is more than the packet, and packets without anything, end the connection', async () => {
    for (const padding of [0, 3, 12, 255]) {
      const wire = await SshWire.connect(port())
      const packet = Buffer.alloc(16)
      packet.writeUInt32BE(12)
      packet[4] = padding
      wire.sendRaw(packet)
      await turnedAway(wire)
    }
  })

  it('SSH-4 first lines that are none end the connection', async () => {
    for (const line of [
      'GET / HTTP/1.1\r\n\r\n',
      'SSH-1.5-old\r\n',
      'SSH-2.0-\r\n',
      'SSH-2.0-x\0y\r\n',
      `SSH-2.0-${'x'.repeat(10_000)}\r\n`,
      'hello\r\nSSH-2.0-x\r\n',
      '\r\n\r\n\r\n',
      'x'.repeat(100_000),
    ]) {
      const socket = connect(port(), '127.0.0.1')
      let isOpen = false
      socket.on('error', () => {})
      socket.write(line)
      const timer = setTimeout(() => {
        isOpen = true
        socket.destroy()
      }, 5_000)
      await once(socket.resume(), 'close').catch(() => {})
      clearTimeout(timer)
      expect([line.slice(0, 12), isOpen]).toEqual([line.slice(0, 12), false])
    }
  })

  it('SSH-4 string lengths that are not true end the connection', async () => {
    const huge = Buffer.from('ffffffff', 'hex')
    const half = Buffer.from('00000100', 'hex')
    for (const length of [huge, half, Buffer.from('7fffffff', 'hex')]) {
      for (const payload of [
        Buffer.concat([Buffer.of(5), length]),
        Buffer.concat([Buffer.of(50), length, Buffer.from('alice')]),
        Buffer.concat([NONE, length]).fill(length, NONE.length - 8, NONE.length - 4),
      ]) {
        const wire = await stranger()
        if (payload[0] === 50) await wire.requestService()
        wire.send(payload)
        const answer = await wire.next()
        expect([undefined, 1, 51]).toContain(answer?.[0])
        wire.send(message.open('session', 0))
        await turnedAway(wire)
      }
      const wire = await SshWire.login(port(), world.gateway.keyFile)
      wire.send(Buffer.concat([Buffer.of(90), length, Buffer.from('session')]))
      await wire.untilClosed()
    }
  })
})
