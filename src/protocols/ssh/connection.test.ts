import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Command,
  type Obligations,
  SallyportError,
  type ShellFacts,
  type Side,
  SshReader,
  SshWriter,
} from '../../core/index.js'
import { SshConnection } from './connection.js'
import type { SshEvent } from './events.js'
import { OPEN_FAILURE, SSH_MESSAGE } from './message-types.js'
import {
  channelMessage,
  channelOpen,
  channelRequest,
  dataHead,
  decodeMessage,
  globalRequest,
  openConfirmation,
  openFailure,
  readData,
  requestReply,
  type SshMessage,
  uint32,
  windowAdjust,
} from './messages.js'
import { GUARDED_TERMINAL_MODES } from './line/index.js'
import type { SshConnectionOptions } from './options.js'

const FACTS: ShellFacts = {
  certainty: 'exact',
  commands: [],
  files: [],
  network: [],
  isPrivileged: false,
  hazards: [],
}

const EMPTY = Buffer.alloc(0)
const WINDOW = 100_000

/** What a side has been sent, readable. */
type Said =
  | SshMessage
  | { readonly type: 'data'; readonly recipient: number; readonly code: number; readonly text: string }

function read(payload: Buffer): Said {
  if (payload[0] === SSH_MESSAGE.CHANNEL_DATA) {
    const text = payload.subarray(9).toString()
    return { type: 'data', recipient: payload.readUInt32BE(1), code: 0, text }
  }
  if (payload[0] === SSH_MESSAGE.CHANNEL_EXTENDED_DATA) {
    const text = payload.subarray(13).toString()
    return { type: 'data', recipient: payload.readUInt32BE(1), code: payload.readUInt32BE(5), text }
  }
  return decodeMessage(payload, 'internal')
}

function dataMessage(recipient: number, code: number, bytes: Buffer): Buffer {
  return Buffer.concat([dataHead(recipient, code, bytes.length), bytes])
}

/** A connection with both of its sides in the test's hands. */
class World {
  readonly connection: SshConnection
  readonly said = { downstream: [] as Said[], upstream: [] as Said[] }
  readonly commands: Command[] = []
  readonly events: SshEvent[] = []

  constructor(options: Partial<SshConnectionOptions> = {}) {
    this.connection = new SshConnection({ shellAnalyzer: { analyze: () => FACTS }, ...options })
    this.connection.upstreamReady()
  }

  drain(): this {
    for (let event = this.connection.next(); event !== undefined; event = this.connection.next()) {
      if (event.type === 'send') this.said[event.to].push(read(Buffer.concat([event.payload, event.body ?? EMPTY])))
      else if (event.type === 'command') this.commands.push(event.command)
      else this.events.push(event)
    }
    return this
  }

  from(side: Side, ...payloads: Buffer[]): this {
    for (const payload of payloads) this.connection.receive(side, Buffer.from(payload))
    return this.drain()
  }

  permit(id: number, obligations: Obligations = {}): this {
    this.connection.permit(id, obligations)
    return this.drain()
  }

  refuse(id: number): this {
    this.connection.refuse(id, { reason: 'rule', message: 'not here' })
    return this.drain()
  }

  take(side: Side): Said[] {
    return this.said[side].splice(0)
  }

  /** A session channel that both sides have opened: the client's 7, ours 1, the target's 9. */
  session(window = WINDOW): this {
    this.from('downstream', channelOpen('session', { sender: 7, windowBytes: window, maxPacketBytes: 32_768 }, EMPTY))
    this.from('upstream', openConfirmation(1, { sender: 9, windowBytes: window, maxPacketBytes: 32_768 }))
    this.take('downstream')
    this.take('upstream')
    return this
  }

  get closed(): Extract<SshEvent, { type: 'close' }> | undefined {
    return this.events.find((event) => event.type === 'close')
  }
}

const text = (value: string) => new SshWriter().text(value).take()
const request = (name: string, data: Buffer = EMPTY, wantsReply = true) => channelRequest(1, name, data, { wantsReply })
const exec = (command: string) => request('exec', text(command))
const pty = () =>
  request('pty-req', new SshWriter().text('xterm').u32(80).u32(24).u32(0).u32(0).string(Buffer.of(0)).take())
const types = (said: readonly Said[]) => said.map(({ type }) => type)

describe('a session channel', () => {
  it('runs nothing on the target before its command is permitted', () => {
    const world = new World().session().from('downstream', exec('id'), dataMessage(1, 0, Buffer.from('early')))
    expect(world.said.upstream).toEqual([])
    expect(world.commands).toMatchObject([{ kind: 'shell', via: 'exec', text: 'id', channelId: 1 }])
    world.permit(1)
    expect(types(world.take('upstream')).slice(0, 2)).toEqual(['request', 'data'])
  })

  it('answers a refused command with text, status 126 and its end, and goes on with the next channel', () => {
    const world = new World().session().from('downstream', exec('id')).refuse(1)
    const said = world.take('downstream')
    expect(types(said)).toEqual(['success', 'data', 'request', 'eof', 'close'])
    expect(said[1]).toMatchObject({ code: 1, text: 'sallyport: refused: not here\n' })
    expect(said[2]).toMatchObject({ name: 'exit-status', data: uint32(126) })
    expect(types(world.take('upstream'))).toEqual(['close'])
    world.from('downstream', channelMessage(97, 1)).from('upstream', channelMessage(97, 1))
    world.from('downstream', channelOpen('session', { sender: 8, windowBytes: 1, maxPacketBytes: 256 }, EMPTY))
    expect(types(world.take('upstream'))).toEqual(['open'])
    expect(world.closed).toBeUndefined()
  })

  it('SSH-3 takes one start only, and no terminal behind it', () => {
    const world = new World().session().from('downstream', exec('id')).permit(1)
    world.from('upstream', channelMessage(SSH_MESSAGE.CHANNEL_SUCCESS, 1))
    world.take('downstream')
    world.from('downstream', exec('id'), request('shell'), pty(), request('env', Buffer.concat([text('A'), text('b')])))
    expect(types(world.take('downstream'))).toEqual(['failure', 'failure', 'failure', 'failure'])
    expect(world.commands.length).toBe(1)
    expect(types(world.take('upstream'))).toEqual(['request'])
  })

  it('SSH-3 has each variable judged, and shows those permitted to the command', () => {
    const env = (name: string) => request('env', Buffer.concat([text(name), text('x')]), false)
    const world = new World().session().from('downstream', env('LANG'), env('LD_PRELOAD'), exec('id'))
    expect(world.commands).toMatchObject([{ kind: 'ssh-request', via: 'env', name: 'LANG' }])
    world.permit(1).refuse(2)
    expect(world.commands[2]).toMatchObject({ kind: 'shell', environment: [{ name: 'LANG', value: 'x' }] })
    expect(world.take('upstream')).toMatchObject([{ name: 'env' }])
  })

  it('refuses requests that it does not know, and says so for the record', () => {
    const world = new World().session().from('downstream', request('x-unknown@example.com'))
    expect(types(world.take('downstream'))).toEqual(['failure'])
    expect(world.events).toMatchObject([{ type: 'refused', via: 'x-unknown@example.com' }])
  })

  it('keeps replies in the order of requests while one is held', () => {
    const world = new World()
      .session()
      .from('downstream', pty(), request('x-unknown'), request('keepalive@openssh.com'))
    expect(world.take('downstream')).toEqual([])
    world.permit(1)
    expect(types(world.take('downstream'))).toEqual(['success', 'failure', 'failure'])
  })

  it('accepts a held command before it tells why it waits', () => {
    const world = new World().session().from('downstream', exec('id'))
    world.connection.inform(1, 'ask bob')
    world.drain()
    expect(world.take('downstream')).toMatchObject([
      { type: 'success' },
      { type: 'data', code: 1, text: 'sallyport: ask bob\n' },
    ])
    world.permit(1).from('upstream', channelMessage(SSH_MESSAGE.CHANNEL_SUCCESS, 1))
    expect(types(world.take('downstream'))).toEqual(['window-adjust'])
  })

  it('withdraws a held command when its client closes, interrupts or signals', () => {
    for (const give of [
      [channelMessage(SSH_MESSAGE.CHANNEL_CLOSE, 1)],
      [dataMessage(1, 0, Buffer.from('\x03'))],
      [request('signal', text('INT'), false)],
    ]) {
      const world = new World()
        .session()
        .from('downstream', pty())
        .permit(1)
        .from('downstream', exec('id'), ...give)
      expect(world.events).toContainEqual({ type: 'withdraw', commandId: 2 })
    }
  })

  it('passes exit status, EOF and close behind the output, as far as the window goes', () => {
    const world = new World().session(10).from('downstream', exec('id')).permit(1)
    world.take('downstream')
    world.from(
      'upstream',
      channelMessage(SSH_MESSAGE.CHANNEL_SUCCESS, 1),
      dataMessage(1, 0, Buffer.from('0123456789abcdef')),
      request('exit-status', uint32(3), false),
      channelMessage(SSH_MESSAGE.CHANNEL_EOF, 1),
      channelMessage(SSH_MESSAGE.CHANNEL_CLOSE, 1),
    )
    expect(world.take('downstream')).toMatchObject([{ type: 'success' }, { type: 'data', text: '0123456789' }])
    expect(world.events).toMatchObject([{ type: 'answer', answer: { exitCode: 3, bytes: 16 } }])
    world.from('downstream', windowAdjust(1, 100))
    expect(types(world.take('downstream'))).toEqual(['data', 'request', 'eof', 'close'])
  })

  it('passes an exit status to a client that has closed already', () => {
    const world = new World().session().from('downstream', exec('id')).permit(1)
    world.from('downstream', channelMessage(SSH_MESSAGE.CHANNEL_EOF, 1), channelMessage(SSH_MESSAGE.CHANNEL_CLOSE, 1))
    world.take('downstream')
    world.from('upstream', request('exit-status', uint32(0), false), channelMessage(SSH_MESSAGE.CHANNEL_CLOSE, 1))
    expect(types(world.take('downstream'))).toEqual(['request', 'close'])
  })

  it('REC-5 does not pass the words of an exit signal', () => {
    const world = new World().session().from('downstream', exec('id')).permit(1)
    const data = new SshWriter().text('KILL').boolean(true).text('secret').text('').take()
    world.from('upstream', request('exit-signal', data, false))
    const [said] = world.take('downstream').slice(-1)
    expect(said).toMatchObject({ type: 'request', name: 'exit-signal' })
    expect(JSON.stringify(said)).not.toContain(Buffer.from('secret').toJSON().data.join(','))
  })

  it('refuses a command that is no text', () => {
    const data = new SshWriter().string(Buffer.of(0x72, 0x6d, 0xff)).take()
    const world = new World().session().from('downstream', request('exec', data))
    expect(world.commands).toEqual([])
    expect(types(world.take('downstream'))).toEqual(['success', 'data', 'request', 'eof', 'close'])
  })
})

describe('windows', () => {
  it('SSH-4 give a client as little as a hold needs, and more once its command runs', () => {
    const world = new World({ limits: { heldWindowBytes: 50_000 } })
    world.from('downstream', channelOpen('session', { sender: 7, windowBytes: 9, maxPacketBytes: 256 }, EMPTY))
    world.from('upstream', openConfirmation(1, { sender: 9, windowBytes: 0, maxPacketBytes: 32_768 }))
    expect(world.take('downstream')).toMatchObject([{ type: 'open-confirmation', windowBytes: 50_000 }])
    world.from('downstream', exec('cat')).permit(1)
    // What the target has no window for would only pile up here: a client gets a little, in advance.
    expect(world.take('downstream')).toMatchObject([{ type: 'window-adjust', bytes: 262_144 - 50_000 }])
    // The target takes nothing: nothing more is granted, however much came.
    for (let i = 0; i < 8; i++) world.from('downstream', dataMessage(1, 0, Buffer.alloc(32_768)))
    expect(world.take('downstream')).toEqual([])
    world.from('upstream', windowAdjust(1, 4_194_304))
    expect(world.take('downstream')).toMatchObject([{ type: 'window-adjust', bytes: 2_097_152 }])
    for (let i = 0; i < 64; i++) world.from('downstream', dataMessage(1, 0, Buffer.alloc(32_768)))
    expect(world.closed).toBeUndefined()
  })

  it('SSH-4 end a connection that sends more than it was granted', () => {
    const world = new World()
    world.from('downstream', channelOpen('session', { sender: 7, windowBytes: 9, maxPacketBytes: 256 }, EMPTY))
    world.from('upstream', openConfirmation(1, { sender: 9, windowBytes: 0, maxPacketBytes: 32_768 }))
    world.from('downstream', exec('cat')).permit(1)
    for (let i = 0; i < 8; i++) world.from('downstream', dataMessage(1, 0, Buffer.alloc(32_768)))
    expect(world.closed).toBeUndefined()
    world.from('downstream', dataMessage(1, 0, Buffer.alloc(32_768)))
    expect(world.closed?.error).toMatchObject({ code: 'protocol_violation' })
  })

  it('keep what waits for a receiver though its memory is used again', () => {
    const world = new World()
    world.from('downstream', channelOpen('session', { sender: 7, windowBytes: 3, maxPacketBytes: 256 }, EMPTY))
    world.from('upstream', openConfirmation(1, { sender: 9, windowBytes: WINDOW, maxPacketBytes: 32_768 }))
    world.from('downstream', exec('cat')).permit(1)
    world.take('downstream')
    const message = dataMessage(1, 0, Buffer.from('abcdef'))
    world.from('upstream', message)
    message.fill(0)
    world.from('downstream', windowAdjust(1, 100))
    expect(world.take('downstream')).toMatchObject([{ text: 'abc' }, { text: 'def' }])
  })

  it('SSH-4 are not cut into bytes, and data of type 0 is not plain', () => {
    for (const maxPacketBytes of [0, 1, 255]) {
      const world = new World()
      world.from('downstream', channelOpen('session', { sender: 7, windowBytes: WINDOW, maxPacketBytes }, EMPTY))
      expect(world.closed?.error).toMatchObject({ code: 'limit_exceeded', blame: 'downstream' })
    }
    const target = { recipient: 0, code: 0, bytes: EMPTY }
    const typeZero = Buffer.of(95, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 120)
    expect(readData(typeZero, 'protocol_violation', target)).toBe(true)
    expect(target.code).toBeGreaterThan(1)
  })

  it('SSH-4 let no more pass than the receiver takes, in packets of its size', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 5_000 }), { maxLength: 30 }),
        fc.integer({ min: 256, max: 3_000 }),
        fc.array(fc.integer({ min: 1, max: 20_000 }), { maxLength: 20 }),
        (chunks, maxPacket, adjusts) => {
          const world = new World()
          world.from(
            'downstream',
            channelOpen('session', { sender: 7, windowBytes: 1_000, maxPacketBytes: maxPacket }, EMPTY),
          )
          world.from('upstream', openConfirmation(1, { sender: 9, windowBytes: WINDOW, maxPacketBytes: 32_768 }))
          world.from('downstream', exec('cat')).permit(1)
          let window = 1_000
          let sent = ''
          let received = ''
          const look = () => {
            for (const said of world.take('downstream')) {
              if (said.type !== 'data') continue
              expect(said.text.length).toBeLessThanOrEqual(maxPacket)
              window -= said.text.length
              received += said.text
            }
            expect(window).toBeGreaterThanOrEqual(0)
          }
          for (const [index, length] of chunks.entries()) {
            const chunk = String.fromCharCode(97 + (index % 26)).repeat(length)
            sent += chunk
            world.from('upstream', dataMessage(1, 0, Buffer.from(chunk)))
            look()
            const adjust = adjusts[index]
            if (adjust !== undefined) {
              window += adjust
              world.from('downstream', windowAdjust(1, adjust))
              look()
            }
          }
          window += 1_000_000
          world.from('downstream', windowAdjust(1, 1_000_000))
          look()
          expect(received).toBe(sent)
        },
      ),
      { numRuns: 50 },
    )
  })

  it('SSH-4 promise little to one side where the other takes nothing, however many channels there are', () => {
    const world = new World()
    const terms = { sender: 7, windowBytes: 0, maxPacketBytes: 32_768 }
    world.from('downstream', channelOpen('session', terms, EMPTY))
    const [opened] = world.take('upstream') as Extract<SshMessage, { type: 'open' }>[]
    expect(opened?.windowBytes).toBeLessThanOrEqual(262_144)
    const target = new SshWriter().text('127.0.0.1').u32(80).text('').u32(0).take()
    world.from('downstream', channelOpen('direct-tcpip', { ...terms, windowBytes: 2_097_152 }, target)).permit(1)
    world.take('upstream')
    world.from('upstream', openConfirmation(2, { sender: 9, windowBytes: 0, maxPacketBytes: 32_768 }))
    const [confirmed] = world.take('downstream') as Extract<SshMessage, { type: 'open-confirmation' }>[]
    expect(confirmed?.windowBytes).toBeLessThanOrEqual(262_144)
  })

  it('grant nothing towards a transport that is full, until it has room', () => {
    const world = new World().session(2_097_152).from('downstream', exec('cat')).permit(1)
    world.take('upstream')
    world.connection.full('downstream', true)
    for (let i = 0; i < 3; i++) world.from('upstream', dataMessage(1, 0, Buffer.alloc(30_000)))
    expect(types(world.take('upstream'))).toEqual([])
    world.from('downstream', windowAdjust(1, 10_000_000))
    for (let i = 0; i < 40; i++) world.from('upstream', dataMessage(1, 0, Buffer.alloc(30_000)))
    expect(types(world.take('upstream'))).toEqual([])
    world.connection.full('downstream', false)
    world.drain()
    expect(types(world.take('upstream'))).toEqual(['window-adjust'])
  })
})

describe('forwarded connections', () => {
  const direct = (host: string, port: number) =>
    channelOpen(
      'direct-tcpip',
      { sender: 7, windowBytes: WINDOW, maxPacketBytes: 32_768 },
      new SshWriter().text(host).u32(port).text('127.0.0.1').u32(1).take(),
    )
  const forward = (port: number) =>
    globalRequest('tcpip-forward', new SshWriter().text('').u32(port).take(), { wantsReply: true })
  const incoming = (port: number) =>
    channelOpen(
      'forwarded-tcpip',
      { sender: 3, windowBytes: WINDOW, maxPacketBytes: 32_768 },
      new SshWriter().text('').u32(port).text('10.0.0.1').u32(1).take(),
    )

  it('SSH-1 are judged by host and port before the target hears of them', () => {
    const world = new World().from('downstream', direct('db', 5432))
    expect(world.commands).toMatchObject([{ kind: 'port-forward', direction: 'local', host: 'db', port: 5432 }])
    expect(world.take('upstream')).toEqual([])
    expect(world.refuse(1).take('downstream')).toMatchObject([
      { type: 'open-failure', recipient: 7, reason: OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED },
    ])
    world.from('downstream', direct('db', 5432)).permit(2)
    expect(world.take('upstream')).toMatchObject([{ type: 'open', kind: 'direct-tcpip', sender: 2 }])
    world.from('upstream', openFailure(2, 2, 'secret reason'))
    expect(JSON.stringify(world.take('downstream'))).not.toContain('secret reason')
  })

  it('SSH-1 come back only to listeners that were permitted, until they are cancelled', () => {
    const world = new World().from('upstream', incoming(80))
    expect(types(world.take('upstream'))).toEqual(['open-failure'])
    world
      .from('downstream', forward(0))
      .permit(1)
      .from('upstream', requestReply(true, uint32(80)))
    expect(world.take('downstream')).toMatchObject([{ type: 'request-success', data: uint32(80) }])
    world.take('upstream')
    world.from('upstream', incoming(81))
    expect(types(world.take('upstream'))).toEqual(['open-failure'])
    world.from('upstream', incoming(80))
    expect(world.take('downstream')).toMatchObject([{ type: 'open', kind: 'forwarded-tcpip' }])
    const cancel = globalRequest('cancel-tcpip-forward', new SshWriter().text('').u32(80).take(), { wantsReply: true })
    world.from('downstream', cancel).from('upstream', requestReply(true), incoming(80))
    expect(types(world.take('upstream')).slice(-1)).toEqual(['open-failure'])
  })

  it('SSH-7 of agent and X11 come only where they were asked for and permitted', () => {
    for (const [kind, name, data] of [
      ['auth-agent@openssh.com', 'auth-agent-req@openssh.com', EMPTY],
      ['x11', 'x11-req', new SshWriter().boolean(false).text('MIT').text('00').u32(0).take()],
    ] as const) {
      const open = channelOpen(kind, { sender: 3, windowBytes: 1, maxPacketBytes: 256 }, EMPTY)
      const world = new World().session().from('upstream', open)
      expect(types(world.take('upstream'))).toEqual(['open-failure'])
      world.from('downstream', request(name, data)).refuse(1).from('upstream', open)
      expect(types(world.take('upstream'))).toEqual(['open-failure'])
      world.from('downstream', request(name, data)).permit(2).from('upstream', open)
      expect(types(world.take('downstream')).slice(-1)).toEqual(['open'])
    }
  })

  it('SSH-1 of tunnels and unknown kinds are refused by themselves', () => {
    const world = new World()
    for (const kind of ['tun@openssh.com', 'x11', 'forwarded-tcpip', 'nonsense']) {
      world.from('downstream', channelOpen(kind, { sender: 7, windowBytes: 1, maxPacketBytes: 256 }, EMPTY))
    }
    expect(types(world.take('downstream'))).toEqual(Array(4).fill('open-failure'))
    expect(world.commands).toEqual([])
  })
})

describe('requests of the connection', () => {
  it('SSH-4 are answered in their order, held ones and unknown ones', () => {
    const forward = globalRequest('tcpip-forward', new SshWriter().text('').u32(80).take(), { wantsReply: true })
    const unknown = globalRequest('hostkeys-prove-00@openssh.com', EMPTY, { wantsReply: true })
    const world = new World().from('downstream', forward, unknown)
    expect(world.take('downstream')).toEqual([])
    world.permit(1).from('upstream', requestReply(true))
    expect(types(world.take('downstream'))).toEqual(['request-success', 'request-failure'])
  })

  it('of the target are not passed on', () => {
    const world = new World().from('upstream', globalRequest('hostkeys-00@openssh.com', EMPTY, { wantsReply: false }))
    world.from('upstream', globalRequest('keepalive@openssh.com', EMPTY, { wantsReply: true }))
    expect(world.take('downstream')).toEqual([])
    expect(types(world.take('upstream'))).toEqual(['request-failure'])
  })

  it('that promise no more sessions are kept to', () => {
    const world = new World().session()
    world.from('downstream', globalRequest('no-more-sessions@openssh.com', EMPTY, { wantsReply: false }))
    world.from('downstream', channelOpen('session', { sender: 8, windowBytes: 1, maxPacketBytes: 256 }, EMPTY))
    expect(world.closed?.error).toMatchObject({ code: 'protocol_violation' })
  })
})

describe('a hostile side', () => {
  it('SSH-4 ends the connection with what is not allowed', () => {
    const wrongs: readonly (readonly [Side, Buffer])[] = [
      ['downstream', dataMessage(99, 0, Buffer.from('x'))],
      ['downstream', channelMessage(SSH_MESSAGE.CHANNEL_SUCCESS, 1)],
      ['upstream', channelMessage(SSH_MESSAGE.CHANNEL_SUCCESS, 1)],
      ['upstream', requestReply(true)],
      ['downstream', requestReply(false)],
      ['downstream', windowAdjust(1, 0xffff_ffff)],
      ['downstream', openConfirmation(1, { sender: 1, windowBytes: 1, maxPacketBytes: 256 })],
      ['downstream', Buffer.of(52)],
      ['downstream', Buffer.of(94, 0, 0, 0, 1, 0, 0, 0, 200, 1)],
      ['downstream', Buffer.of(98, 0, 0, 0, 1, 255, 255, 255, 255)],
    ]
    for (const [side, payload] of wrongs) {
      const world = new World().session().from(side, payload)
      expect(world.closed?.error, payload.toString('hex')).toMatchObject({ blame: side })
    }
  })

  it('says garbage, and gets an end of the connection or an answer, and nothing else', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(fc.constantFrom('downstream' as const, 'upstream' as const), fc.uint8Array({ maxLength: 64 })),
        ),
        (payloads) => {
          const world = new World().session()
          for (const [side, payload] of payloads) world.from(side, Buffer.from(payload))
          const { error } = world.closed ?? {}
          if (error !== undefined) expect(error).toBeInstanceOf(SallyportError)
          expect(error?.code).not.toBe('internal')
        },
      ),
      { numRuns: 300 },
    )
  })

  it('SSH-4 opens no more channels than there may be', () => {
    const world = new World({ limits: { maxChannels: 2 } })
    for (let i = 0; i < 3; i++) {
      world.from('downstream', channelOpen('session', { sender: i, windowBytes: 1, maxPacketBytes: 256 }, EMPTY))
    }
    expect(world.take('downstream')).toMatchObject([{ type: 'open-failure', reason: OPEN_FAILURE.RESOURCE_SHORTAGE }])
  })
})

it('tells who runs something why the session ends', () => {
  const world = new World().session().from('downstream', exec('sleep 9')).permit(1)
  world.from('upstream', channelMessage(SSH_MESSAGE.CHANNEL_SUCCESS, 1))
  world.take('downstream')
  world.connection.shutdown({ reason: 'revoked', message: 'go home' })
  world.drain()
  expect(world.take('downstream')).toMatchObject([
    { type: 'data', code: 1 },
    { type: 'request' },
    { type: 'eof' },
    { type: 'close' },
  ])
  expect(world.closed).toBeUndefined()
  world.from('downstream', channelOpen('session', { sender: 8, windowBytes: 1, maxPacketBytes: 256 }, EMPTY))
  expect(types(world.take('downstream'))).toEqual(['open-failure'])
  world.connection.wake(0, 'disconnect')
  world.drain()
  expect(world.closed).toMatchObject({ message: 'go home' })
  expect(world.events).toContainEqual(expect.objectContaining({ type: 'answer' }))
})

it('SSH-2 lets nobody transfer files through a terminal, which would change what was judged', () => {
  const world = new World().session().from('downstream', pty()).permit(1)
  world.from('downstream', request('subsystem', new SshWriter().text('sftp').take()))
  expect(world.commands).toHaveLength(1)
  expect(types(world.take('downstream'))).toContain('close')
  expect(types(world.take('upstream'))).toEqual(['close'])
})

it('has a guarded shell run without echo, and each line of it judged', () => {
  const world = new World().session().from('downstream', pty(), request('shell')).permit(1).permit(2)
  const said = world.take('upstream')
  expect(said).toMatchObject([
    { type: 'request', name: 'pty-req' },
    { type: 'request', name: 'exec' },
  ])
  const reader = new SshReader((said[0] as Extract<SshMessage, { type: 'request' }>).data, {
    message: 'pty',
    code: 'internal',
  })
  reader.string()
  reader.bytes(16)
  const modes = reader.string()
  const set = new Map<number, number>()
  for (let at = 0; at + 5 <= modes.length; at += 5) set.set(modes[at] as number, modes.readUInt32BE(at + 1))
  expect(set).toEqual(new Map(GUARDED_TERMINAL_MODES))
  world.from('upstream', channelMessage(99, 1), channelMessage(99, 1), dataMessage(1, 0, Buffer.from('$ ')))
  world.from('downstream', dataMessage(1, 0, Buffer.from('ls -l\r')))
  expect(world.commands[2]).toMatchObject({
    kind: 'shell',
    via: 'line',
    text: 'ls -l',
    channelId: 1,
    hasTerminal: true,
  })
  expect(types(world.take('upstream'))).toEqual([])
  world.permit(3)
  expect(
    world
      .take('upstream')
      .map((said) => ('text' in said ? said.text : said.type))
      .join(''),
  ).toMatch(/^ls -l[\r\n]$/)
})

it('TTY-1 judges a guarded line that goes on behind a backslash together with the next one', () => {
  const world = new World().session().from('downstream', pty(), request('shell')).permit(1).permit(2)
  world.from('upstream', channelMessage(99, 1), channelMessage(99, 1), dataMessage(1, 0, Buffer.from('$ ')))
  world.take('upstream')
  world.from('downstream', dataMessage(1, 0, Buffer.from('to\\\r')))
  expect(world.commands.length).toBe(2)
  world.from('downstream', dataMessage(1, 0, Buffer.from('uch f\\\\\r')))
  expect(world.commands[2]).toMatchObject({ via: 'line', text: 'to\\\nuch f\\\\' })
  expect(types(world.take('upstream'))).toEqual([])
})
