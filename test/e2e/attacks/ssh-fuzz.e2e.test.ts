import { connect } from 'node:net'
import { once } from 'node:events'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { pinnedHostKeys } from '../../../src/credentials/ssh/index.js'
import { SshWriter } from '../../../src/core/index.js'
import { system } from '../../../src/gateway/index.js'
import { createSshIdentity, sshTrust } from '../../../src/identity/ssh/index.js'
import { startSshGateway, type TestSshGateway } from '../../support/ssh-gateway.js'
import { message, ptyRequest, SshWire, sshText, startWireServer } from '../../support/ssh-wire.js'
import { startSshd, type SshdServer } from '../../support/sshd.js'
import { until } from '../threats/ssh-support.js'

const ROUNDS = Number(process.env['FUZZ_ROUNDS'] ?? 40)

/** Numbers that look random and are the same every time. */
class Dice {
  #state: number

  constructor(seed: number) {
    this.#state = seed
  }

  below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((this.#state / 4_294_967_296) * limit)
  }

  of<Value>(values: readonly Value[]): Value {
    return values[this.below(values.length)] as Value
  }

  /** Bits turned, bytes cut away or put in, lengths made huge. */
  spoil(payload: Buffer): Buffer {
    const spoiled = Buffer.from(payload)
    switch (this.below(6)) {
      case 0:
        return spoiled.subarray(0, this.below(spoiled.length + 1))
      case 1:
        return Buffer.concat([spoiled, Buffer.alloc(1 + this.below(9), this.below(256))])
      case 2:
        if (spoiled.length > 5)
          spoiled.writeUInt32BE(this.of([0xffff_ffff, 0x8000_0000, 0, 1]), 1 + this.below(spoiled.length - 4))
        return spoiled
      case 3:
        spoiled[this.below(spoiled.length)] = this.below(256)
        return spoiled
      case 4:
        spoiled[0] = this.below(256)
        return spoiled
      default:
        return spoiled
    }
  }
}

const host = (name: string, port: number): Buffer => new SshWriter().text(name).u32(port).text('').u32(0).take()

/** What either side may say, in any order. */
function speech(dice: Dice): Buffer {
  const id = dice.below(4)
  return dice.of([
    () => message.open('session', dice.below(3), dice.of([0, 1, 2_097_152, 0xffff_ffff]), dice.of([0, 1, 32_768])),
    () => message.open('direct-tcpip', id, 100, 100, host('127.0.0.1', 1)),
    () => message.open('forwarded-tcpip', id, 100, 100, host('127.0.0.1', 1)),
    () => message.opened(id, id, dice.of([0, 1, 100_000]), dice.of([0, 1, 32_768])),
    () => new SshWriter().u8(92).u32(id).u32(dice.below(9)).text('no').text('').take(),
    () => message.adjust(id, dice.of([1, 1_000_000, 0xffff_ffff])),
    () => message.data(id, 'x'.repeat(dice.below(300))),
    () => message.extended(id, dice.below(3), 'oops'),
    () => message.eof(id),
    () => message.close(id),
    () =>
      message.request(
        id,
        'exec',
        true,
        sshText(dice.of(['echo a', 'cat', 'sftp-server', 'scp -t /tmp', 'scp -f /etc/hostname'])),
      ),
    () => message.request(id, 'shell', true),
    () => message.request(id, 'subsystem', true, sshText('sftp')),
    () => message.request(id, 'pty-req', true, ptyRequest()),
    () => message.request(id, 'env', dice.below(2) === 0, sshText('LANG', 'C')),
    () => message.request(id, 'window-change', false, Buffer.alloc(16, 1)),
    () => message.request(id, 'signal', true, sshText('TERM')),
    () => message.request(id, 'auth-agent-req@openssh.com', true),
    () => message.request(id, 'x11-req', true, new SshWriter().boolean(false).text('MIT').text('0').u32(0).take()),
    () => message.request(id, 'exit-status', false, Buffer.of(0, 0, 0, 1)),
    () =>
      message.request(id, 'exit-signal', false, new SshWriter().text('TERM').boolean(false).text('').text('').take()),
    () => message.success(id),
    () => message.failure(id),
    () => message.global('tcpip-forward', true, new SshWriter().text('127.0.0.1').u32(0).take()),
    () => message.global('cancel-tcpip-forward', true, new SshWriter().text('127.0.0.1').u32(0).take()),
    () => message.global('keepalive@openssh.com', true),
    () => Buffer.of(81),
    () => Buffer.of(82),
    () => Buffer.of(2, 0, 0, 0, 1, 120),
  ])()
}

const uncaught: unknown[] = []
const onUncaught = (error: unknown): void => void uncaught.push(error)
let server: SshdServer
let gateway: TestSshGateway

beforeAll(async () => {
  process.on('uncaughtException', onUncaught)
  process.on('unhandledRejection', onUncaught)
  server = await startSshd()
  gateway = await startSshGateway({ server, limits: { maxConnectsPerSecond: 100_000 } })
})

afterAll(async () => {
  process.off('uncaughtException', onUncaught)
  process.off('unhandledRejection', onUncaught)
  await gateway?.stop()
  await server?.stop()
})

async function isWell(): Promise<void> {
  expect(uncaught).toEqual([])
  await until(() => gateway.gateway.connections.length === 0, 'the end of all connections')
}

it('lives on whatever bytes a client sends in the place of a key exchange', async () => {
  const dice = new Dice(1)
  for (let round = 0; round < ROUNDS; round++) {
    const socket = connect(gateway.port, '127.0.0.1')
    socket.on('error', () => {})
    await once(socket, 'connect')
    if (dice.below(4) > 0)
      socket.write(dice.of(['SSH-2.0-x\r\n', 'SSH-2.0-x', 'SSH-1.5-x\r\n', 'SSH-2.0-\r\n', '\r\n']))
    const wire = Buffer.from(Array.from({ length: dice.below(400) }, () => dice.below(256)))
    if (wire.length > 4 && dice.below(2) === 0) wire.writeUInt32BE(dice.of([0, 1, 12, 300, 40_000, 0xffff_ffff]))
    socket.write(wire)
    await new Promise((resolve) => setTimeout(resolve, dice.below(10)))
    socket.destroy()
  }
  await isWell()
})

it('lives on whatever a client sends as its half of a key exchange', async () => {
  const dice = new Dice(4)
  const kex = ['curve25519-sha256', 'ecdh-sha2-nistp256', 'ecdh-sha2-nistp521', 'diffie-hellman-group14-sha256']
  const shares = [
    Buffer.alloc(0),
    Buffer.of(0),
    Buffer.of(1),
    Buffer.alloc(32),
    Buffer.alloc(65, 4),
    Buffer.alloc(257, 0xff),
  ]
  for (let round = 0; round < ROUNDS; round++) {
    const wire = await SshWire.connect(gateway.port)
    const init = wire.kexInit({ offer: { kex: [dice.of(kex)] } })
    wire.send(dice.below(3) === 0 ? dice.spoil(init) : init)
    const share = new SshWriter().u8(30).string(dice.of(shares)).take()
    wire.send(dice.below(3) === 0 ? dice.spoil(share) : share)
    if (dice.below(2) === 0) wire.send(Buffer.of(21))
    await Promise.race([wire.untilClosed(), new Promise((resolve) => setTimeout(resolve, 10))]).catch(() => undefined)
    wire.close()
  }
  await isWell()
})

it('SSH-5 turns away a request by public key that ends before its key', async () => {
  for (const rest of [[], [sshText('ssh-ed25519')]]) {
    const wire = await SshWire.connect(gateway.port)
    await wire.exchange()
    await wire.requestService()
    const request = new SshWriter().u8(50).text('alice+web').text('ssh-connection').text('publickey').boolean(false)
    wire.send(Buffer.concat([request.take(), ...rest]))
    await wire.untilClosed()
    expect(wire.types()).not.toContain(52)
  }
  await isWell()
})

it('lives on whatever a client sends in the place of a log-in', async () => {
  const dice = new Dice(2)
  for (let round = 0; round < ROUNDS; round++) {
    const wire = await SshWire.connect(gateway.port)
    await wire.exchange()
    const request = (...rest: readonly Buffer[]): Buffer =>
      Buffer.concat([new SshWriter().u8(50).text('alice+web').text('ssh-connection').take(), ...rest])
    if (dice.below(4) > 0) wire.send(new SshWriter().u8(5).text('ssh-userauth').take())
    for (let count = 1 + dice.below(5); count > 0 && !wire.isClosed; count--) {
      wire.send(
        dice.spoil(
          dice.of([
            request(sshText('none')),
            request(sshText('password'), Buffer.of(0), sshText('x')),
            request(sshText('keyboard-interactive', '', '')),
            request(sshText('hostbased', 'ssh-ed25519', 'x', 'y', 'z', 'w')),
            request(sshText('publickey'), Buffer.of(dice.below(2)), sshText('ssh-ed25519', 'blob', 'signature')),
            request(
              sshText('publickey'),
              Buffer.of(1),
              sshText('ssh-ed25519-cert-v01@openssh.com', 'ssh-ed25519-cert-v01@openssh.com', 'sig'),
            ),
            new SshWriter().u8(61).u32(1).text('answer').take(),
            new SshWriter().u8(20).append(Buffer.alloc(60)).take(),
            Buffer.of(21),
          ]),
        ),
      )
    }
    await Promise.race([wire.untilClosed(), new Promise((resolve) => setTimeout(resolve, 10))]).catch(() => undefined)
    wire.close()
  }
  await isWell()
})

it('lives on whatever a client answers to a prompt', async () => {
  const asking = await startSshGateway({
    server,
    limits: { maxConnectsPerSecond: 100_000 },
    identity: createSshIdentity({
      chains: [['keyboard-interactive']],
      trust: () => sshTrust({}),
      interactive: {
        authenticate: async ({ ask }) => {
          const [answer] = await ask({ title: 't', instructions: 'i', prompts: [{ text: 'p', isEchoed: false }] })
          if (answer?.expose() === 'throw') throw new Error('a token store that is not there')
          return undefined
        },
      },
      clock: system.clock,
    }),
  })
  const request = (...rest: readonly Buffer[]): Buffer =>
    Buffer.concat([new SshWriter().u8(50).text('alice+web').text('ssh-connection').take(), ...rest])
  const dice = new Dice(5)
  for (let round = 0; round < ROUNDS; round++) {
    const wire = await SshWire.connect(asking.port)
    await wire.exchange()
    await wire.requestService()
    for (let count = 1 + dice.below(6); count > 0 && !wire.isClosed; count--) {
      const said = dice.of([
        request(sshText('keyboard-interactive', '', '')),
        new SshWriter().u8(61).u32(1).text('throw').take(),
        new SshWriter().u8(61).u32(dice.below(3)).text('x').take(),
        new SshWriter().u8(61).u32(0xffff_ffff).take(),
        request(sshText('none')),
      ])
      wire.send(dice.below(4) === 0 ? dice.spoil(said) : said)
      if (dice.below(3) === 0) await new Promise((resolve) => setTimeout(resolve, dice.below(6)))
    }
    wire.close()
  }
  expect(uncaught).toEqual([])
  await until(() => asking.gateway.connections.length === 0, 'the end of all connections')
  await asking.stop()
})

it('lives on whatever a client says once it is let in', async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const dice = new Dice(1_000 + round)
    const wire = await SshWire.login(gateway.port, gateway.keyFile)
    if (dice.below(4) > 0) wire.send(message.open('session', 0))
    for (let count = 5 + dice.below(40); count > 0 && !wire.isClosed; count--) {
      const said = speech(dice)
      wire.send(dice.below(5) === 0 ? dice.spoil(said) : said)
      if (dice.below(4) === 0) await new Promise((resolve) => setTimeout(resolve, dice.below(8)))
    }
    wire.close()
  }
  await isWell()
})

it('lives on whatever a target says once it has let the gateway in', async () => {
  let round = 0
  const target = await startWireServer(async (wire) => {
    const dice = new Dice(2_000 + round)
    if (dice.below(4) > 0) await wire.until(90)
    for (let count = 5 + dice.below(40); count > 0 && !wire.isClosed; count--) {
      const said = dice.below(4) === 0 ? message.opened(1 + dice.below(2), 0) : speech(dice)
      wire.send(dice.below(6) === 0 ? dice.spoil(said) : said)
      if (dice.below(4) === 0) await new Promise((resolve) => setTimeout(resolve, dice.below(8)))
    }
    wire.close()
  })
  const behind = await startSshGateway({
    server: { ...server, port: target.port, hostKeyLine: target.hostKeyLine },
    hostKeys: pinnedHostKeys([target.hostKeyLine]),
    limits: { maxConnectsPerSecond: 100_000 },
  })
  for (; round < ROUNDS; round++) {
    const dice = new Dice(3_000 + round)
    const wire = await SshWire.login(behind.port, behind.keyFile)
    wire.send(message.open('session', 0))
    for (let count = dice.below(8); count > 0 && !wire.isClosed; count--) {
      wire.send(speech(dice))
      await new Promise((resolve) => setTimeout(resolve, dice.below(8)))
    }
    wire.close()
  }
  expect(uncaught).toEqual([])
  await until(() => behind.gateway.connections.length === 0, 'the end of all connections')
  await behind.stop()
  target.stop()
})
