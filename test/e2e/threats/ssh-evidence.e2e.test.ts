import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCli } from '../../../src/cli/run.js'
import { Secret, SshWriter } from '../../../src/core/index.js'
import { pinnedHostKeys, staticSshCredentials } from '../../../src/credentials/ssh/index.js'
import type { Rule } from '../../../src/policy/index.js'
import { MemoryRecordStore } from '../../../src/recording/index.js'
import { parseLines, type RecordedLine } from '../../support/recordings.js'
import {
  ALLOW_ALL,
  startSshGateway,
  type TestSshGateway,
  type TestSshGatewayOptions,
} from '../../support/ssh-gateway.js'
import { message, ptyRequest, publicBlob, reader, sshText, SshWire, startWireServer } from '../../support/ssh-wire.js'
import { type SshWorld, startSshWorld, until } from './ssh-support.js'

const FULL: Rule = { id: 'full', effect: 'allow', evenIfUnparsed: true, recordLevel: 'full', terminal: 'record' }
const BOB = { id: 'bob', type: 'human' } as const

let world: SshWorld
let markers = 0

beforeAll(async () => {
  world = await startSshWorld()
})

afterAll(async () => world?.stop())

const marker = (): string => join(world.server.home, `e${++markers}`)
const start = (options: Partial<TestSshGatewayOptions> = {}): Promise<TestSshGateway> =>
  startSshGateway({ server: world.server, rules: [FULL], ...options })
const login = (gateway: TestSshGateway): Promise<SshWire> => SshWire.login(gateway.port, gateway.keyFile)

/** The text of every recording. */
async function textOf(store: MemoryRecordStore): Promise<string> {
  return (await store.list()).map((name) => store.bytes(name).toString()).join('')
}

/** What was recorded as output, bytes as they were. */
function outputOf(lines: readonly RecordedLine[], channel: string): Buffer {
  const parts = lines.filter((line) => line.type === 'output' && line['channel'] === channel)
  return Buffer.concat(
    parts.map((line) => Buffer.from((line['utf8'] ?? line['base64']) as string, 'utf8' in line ? 'utf8' : 'base64')),
  )
}

async function cli(args: readonly string[], store: MemoryRecordStore): Promise<string> {
  const [name = ''] = await store.list()
  const file = join(world.gateway.folder, `replayed-${++markers}.jsonl`)
  writeFileSync(file, store.bytes(name))
  let out = ''
  await runCli([...args, file], '0', {
    stdin: (async function* () {})(),
    out: async (text) => {
      out += typeof text === 'string' ? text : Buffer.from(text).toString('latin1')
    },
    wait: async () => {},
    error: () => {},
  })
  return out
}

/** What acts on whoever looks at it. */
const HOSTILE: [string, Buffer][] = [
  ['OSC 52, the clipboard', Buffer.from('\x1b]52;c;cm0gLXJmIC8K\x07')],
  ['OSC 52 with ST', Buffer.from('\x1b]52;p;cm0K\x1b\\')],
  ['OSC 8, a link', Buffer.from('\x1b]8;;file:///etc/passwd\x1b\\text\x1b]8;;\x1b\\')],
  ['OSC 0, the title', Buffer.from('\x1b]0;$(id)\x07')],
  ['a report of the title', Buffer.from('\x1b[21t')],
  ['DECRQSS', Buffer.from('\x1bP$q"p\x1b\\')],
  ['device status and attributes', Buffer.from('\x1b[6n\x1b[c\x1b[>c\x1b[5n')],
  ['answerback', Buffer.from('\x05')],
  ['XTGETTCAP', Buffer.from('\x1bP+q544e\x1b\\')],
  ['OSC 1337, a download', Buffer.from('\x1b]1337;File=name=eA==;inline=0:eA==\x07')],
  ['user-defined keys', Buffer.from('\x1bP0;1|17/726d\x1b\\')],
  ['sixel', Buffer.from('\x1bPq#0;2;0;0;0~~@@\x1b\\')],
  ['kitty graphics', Buffer.from('\x1b_Gf=32,t=f;L2V0Yy9wYXNzd2Q=\x1b\\')],
  ['printing', Buffer.from('\x1b[5iprinted\x1b[4i')],
  ['PM and SOS', Buffer.from('\x1b^pm\x1b\\\x1bXsos\x1b\\')],
  ['8-bit controls', Buffer.from([0x9b, 0x36, 0x6e, 0x9d, 0x35, 0x32, 0x3b, 0x63, 0x3b, 0x78, 0x9c, 0x90, 0x71, 0x9c])],
  ['8-bit controls as UTF-8', Buffer.from('\u009b6n\u009d52;c;x\u009c')],
  ['invalid UTF-8', Buffer.from([0xff, 0xfe, 0xc0, 0xaf, 0xed, 0xa0, 0x80, 0xf5, 0x80, 0x80, 0x80])],
  ['an escape of more than a megabyte', Buffer.concat([Buffer.from('\x1b]52;c;'), Buffer.alloc(1_200_000, 'A')])],
  ['a sequence of many numbers', Buffer.from(`\x1b[${'1;'.repeat(50_000)}m`)],
  ['text turned round', Buffer.from('\u202egnp.exe\u2066\u200b')],
]

describe('TTY-2 what was recorded', () => {
  const ACTS = /[\x05\x9b\x9d\x90\x9f]|\x1b\]|\x1bP|\x1b_|\x1b\^|\x1bX|\x1b\[[0-9;>]*[nctir]/

  it.each(HOSTILE)('TTY-2 %s is kept byte for byte, and replayed without acting', async (_name, bytes) => {
    const store = new MemoryRecordStore()
    const gateway = await start({ store })
    const file = marker()
    writeFileSync(file, Buffer.concat([Buffer.from('before '), bytes, Buffer.from(' behind\n')]), { mode: 0o644 })
    const wire = await login(gateway)
    const id = await wire.openSession(0, 4_000_000)
    wire.send(
      message.request(id, 'pty-req', true, ptyRequest()),
      message.request(id, 'exec', true, sshText(`stty raw -echo; cat ${file}`)),
    )
    await wire.until(97)
    wire.close()
    await gateway.stop()
    const expected = readFileSync(file)
    // The client gets it as it is: it is a terminal's, and was not masked.
    expect(wire.output().equals(expected)).toBe(true)
    const recorded = outputOf(parseLines(await textOf(store)), 'stdout')
    expect(recorded.equals(expected)).toBe(true)
    for (const args of [['replay'], ['replay', '--play']]) {
      const shown = await cli(args, store)
      expect(shown).toContain('before')
      // Apart from what the player itself puts back at the end.
      expect(shown.replace(/\x1b7\x1b\[m\x1b\(B\x1b\[r\x1b8.*\n?$/s, '')).not.toMatch(ACTS)
    }
  })

  it('TTY-2 asciicast keeps the text, and is JSON line by line', async () => {
    const store = new MemoryRecordStore()
    const gateway = await start({ store })
    const wire = await login(gateway)
    const id = await wire.openSession()
    wire.send(
      message.request(id, 'pty-req', true, ptyRequest()),
      message.request(id, 'exec', true, sshText("printf '\\033]52;c;x\\007cast'")),
    )
    await wire.until(97)
    wire.close()
    await gateway.stop()
    for (const format of ['asciicast', 'asciicast-v3']) {
      const out = await cli(['export', '--format', format], store)
      // Version 3 has comments.
      const lines = out
        .trim()
        .split('\n')
        .filter((line) => !line.startsWith('#'))
      expect(lines.map((line) => JSON.parse(line) as unknown).length).toBeGreaterThan(1)
      expect(out).toContain('cast')
      expect(out).not.toMatch(/\\u001b\]|\\u0007/)
    }
  })
})

describe('REC-1 a recorder that cannot write', () => {
  class FillingStore extends MemoryRecordStore {
    isFull = false

    override async openSegment(name: string) {
      const segment = await super.openSegment(name)
      return {
        ...segment,
        write: (bytes: Uint8Array) => {
          if (this.isFull) return Promise.reject(new Error('ENOSPC'))
          return segment.write(bytes)
        },
      }
    }
  }

  it('REC-1 lets no command through, ends its session, and leaves the gateway standing', async () => {
    const store = new FillingStore()
    const gateway = await start({ store, durability: 'durable' })
    const wire = await login(gateway)
    expect(await wire.exec('echo recorded')).toMatchObject({ stdout: 'recorded\n' })
    store.isFull = true
    const file = marker()
    const id = await wire.openSession(1)
    wire.send(message.request(id, 'exec', true, sshText(`echo x > ${file}`)))
    await wire.untilClosed()
    expect(existsSync(file)).toBe(false)
    const late = await gateway.ssh([`echo x > ${file}`])
    expect(late.code).not.toBe(0)
    expect(existsSync(file)).toBe(false)
    store.isFull = false
    expect(await gateway.ssh(['echo again'])).toMatchObject({ stdout: 'again\n' })
    await gateway.stop()
  })

  it('REC-1 REC-2 stops a shell whose output it cannot keep', async () => {
    const store = new FillingStore()
    const gateway = await start({ store, durability: 'durable' })
    const wire = await login(gateway)
    const id = await wire.openSession()
    wire.send(message.request(id, 'pty-req', true, ptyRequest()), message.request(id, 'shell', true))
    await wire.until(94)
    store.isFull = true
    const file = marker()
    wire.send(message.data(id, 'echo unrecorded\r'))
    const said = await wire.untilClosed()
    expect(said.length).toBeGreaterThan(0)
    expect(existsSync(file)).toBe(false)
    store.isFull = false
    await gateway.stop()
  })
})

describe('REC-2 REC-5 what a recording holds', () => {
  it('REC-2 bytes are exact: large writes, stderr, binary, split characters, and their order', async () => {
    const store = new MemoryRecordStore()
    const gateway = await start({ store })
    const file = marker()
    writeFileSync(file, Buffer.concat([randomBytes(200_000), Buffer.from('ä€😀'.repeat(20_000)), randomBytes(3)]), {
      mode: 0o644,
    })
    const wire = await login(gateway)
    const id = await wire.openSession()
    wire.send(
      message.request(
        id,
        'exec',
        true,
        sshText(`cat ${file}; cat ${file} >&2; printf '\\360\\237'; sleep 0.2; printf '\\230\\200'`),
      ),
    )
    for (let next = await wire.next(); next !== undefined && next[0] !== 97; next = await wire.next()) {
      if (next[0] === 94 || next[0] === 95) wire.send(message.adjust(id, next.length))
    }
    wire.close()
    await gateway.stop()
    const lines = parseLines(await textOf(store))
    const content = readFileSync(file)
    expect(outputOf(lines, 'stdout').equals(Buffer.concat([content, Buffer.from('😀')]))).toBe(true)
    expect(outputOf(lines, 'stderr').equals(content)).toBe(true)
    expect(wire.output().equals(outputOf(lines, 'stdout'))).toBe(true)
    expect(wire.output(0, 1).equals(outputOf(lines, 'stderr'))).toBe(true)
    const order = lines.filter(({ type }) => type === 'output').map((line) => line['channel'])
    expect(order.indexOf('stderr')).toBeGreaterThan(0)
  })

  const SECRET = 'hunter2-opensesame'

  it('REC-5 passwords typed at a prompt are in no recording, in a guarded terminal or a recorded one', async () => {
    for (const terminal of ['guarded', 'record'] as const) {
      const store = new MemoryRecordStore()
      const gateway = await start({ store, rules: [{ ...FULL, terminal }] })
      const wire = await login(gateway)
      const id = await wire.openSession()
      wire.send(message.request(id, 'pty-req', true, ptyRequest()), message.request(id, 'shell', true))
      const shows = async (text: string): Promise<void> => {
        while (!wire.output().includes(text)) await wire.until(94)
      }
      await shows('$ ')
      wire.send(message.data(id, "read -rsp 'Password: ' answer\r"))
      while (wire.output().toString().split('Password: ').length < 3) await wire.until(94)
      wire.send(message.data(id, SECRET.slice(0, 7)), message.data(id, `${SECRET.slice(7)}\r`))
      await new Promise((resolve) => setTimeout(resolve, 150))
      wire.send(message.data(id, '\x03'))
      await new Promise((resolve) => setTimeout(resolve, 150))
      wire.send(message.data(id, 'echo $((40+2)) done\r'))
      await shows('42 done')
      wire.close()
      await gateway.stop()
      const everything = await textOf(store)
      expect(everything).toContain('42 done')
      expect([terminal, everything.includes('hunter2'), everything.includes('opensesame')]).toEqual([
        terminal,
        false,
        false,
      ])
      expect(wire.output().includes('hunter2')).toBe(false)
    }
  })

  it('REC-5 secrets in command lines, and what the log-in used, are in no recording', async () => {
    const store = new MemoryRecordStore()
    const gateway = await start({ store })
    const commands = [
      `mysql -h 127.0.0.1 -P 1 -u root -p${SECRET} -e 'select 1' || true`,
      `PGPASSWORD=${SECRET} true`,
      `export AWS_SECRET_ACCESS_KEY=${SECRET}; true`,
      `curl -s -m 1 -u admin:${SECRET} http://127.0.0.1:1/ || true`,
      `curl -s -m 1 -H 'Authorization: Bearer ${SECRET}' http://127.0.0.1:1/ || true`,
      `curl -s -m 1 http://admin:${SECRET}@127.0.0.1:1/ || true`,
      `sshpass -p ${SECRET} true || true`,
    ]
    for (const command of commands) await gateway.ssh([command])
    await gateway.stop()
    const everything = await textOf(store)
    for (const command of commands) expect([command, everything.includes(SECRET)]).toEqual([command, false])
    expect(everything).not.toContain('PRIVATE KEY')
    expect(everything).not.toContain(world.server.privateKey.split('\n')[2])
  })
})

describe('APP-2 approvals of commands', () => {
  const ASK: Rule[] = [
    ALLOW_ALL,
    { id: 'ask', effect: 'hold', match: { programs: 'tee' } },
    { id: 'shells', match: { kinds: 'terminal' }, terminal: 'guarded' },
  ]
  const held = (file: string): string => `echo ran >> ${file}; echo | tee /dev/null`
  const runs = (file: string): number => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0)
  const waits = (gateway: TestSshGateway, count: number): Promise<void> =>
    until(() => gateway.broker.list().length === count, `${count} holds`)

  it('APP-2 APP-4 one is for one command of one session, once, and twice approved it still runs once', async () => {
    const gateway = await start({ rules: ASK })
    const file = marker()
    const [first, second] = [await login(gateway), await login(gateway)]
    for (const wire of [first, second]) {
      const id = await wire.openSession()
      wire.send(message.request(id, 'exec', true, sshText(held(file))))
    }
    await waits(gateway, 2)
    const [one, other] = gateway.broker.list()
    expect(one?.digest).not.toBe(other?.digest)
    gateway.broker.approve(one?.id ?? '', BOB)
    expect(gateway.broker.approve(one?.id ?? '', BOB).ok).toBe(false)
    await first.until(97)
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(runs(file)).toBe(1)
    // The same again is asked for again.
    const again = await first.openSession(1)
    first.send(message.request(again, 'exec', true, sshText(held(file))))
    await waits(gateway, 2)
    expect(runs(file)).toBe(1)
    first.close()
    second.close()
    await waits(gateway, 0)
    await gateway.stop()
  })

  it('APP-2 what is approved is bound to its variables, its terminal and its bytes', async () => {
    const gateway = await start({ rules: ASK })
    const wire = await login(gateway)
    const digests = new Set<string>()
    const variants: ((id: number) => Buffer[])[] = [
      () => [],
      (id) => [message.request(id, 'env', false, sshText('LC_ALL', 'C'))],
      (id) => [message.request(id, 'env', false, sshText('LC_ALL', 'D'))],
      (id) => [message.request(id, 'pty-req', false, ptyRequest())],
    ]
    for (const [index, variant] of variants.entries()) {
      const id = await wire.openSession(index)
      wire.send(...variant(id), message.request(id, 'exec', true, sshText('echo | tee /dev/null')))
      await waits(gateway, 1)
      digests.add(gateway.broker.list()[0]?.digest ?? '')
      wire.send(message.close(id))
      await waits(gateway, 0)
    }
    const id = await wire.openSession(9)
    wire.send(message.request(id, 'exec', true, sshText('echo  | tee /dev/null')))
    await waits(gateway, 1)
    digests.add(gateway.broker.list()[0]?.digest ?? '')
    expect(digests.size).toBe(5)
    wire.close()
    await gateway.stop()
  })

  it('APP-5 no answer in time, a no, a client that left and a broker that fails are all a no', async () => {
    const gateway = await start({ rules: ASK, enforcer: { limits: { maxHoldMs: 700 } } })
    const file = marker()
    expect(await gateway.ssh([held(file)])).toMatchObject({ code: 126 })
    const rejected = gateway.ssh([held(file)])
    await waits(gateway, 1)
    const hold = gateway.broker.list()[0]?.id ?? ''
    gateway.broker.reject(hold, BOB, 'not today')
    expect((await rejected).stderr).toContain('not today')
    expect(gateway.broker.approve(hold, BOB).ok).toBe(false)
    const gone = await login(gateway)
    const id = await gone.openSession()
    gone.send(message.request(id, 'exec', true, sshText(held(file))))
    await waits(gateway, 1)
    const left = gateway.broker.list()[0]?.id ?? ''
    gone.close()
    await waits(gateway, 0)
    expect(gateway.broker.approve(left, BOB).ok).toBe(false)
    await gateway.stop()
    const failing = await start({
      rules: ASK,
      enforcer: { broker: { request: () => Promise.reject(new Error('down')) } },
    })
    expect((await failing.ssh([held(file)])).code).toBe(126)
    await failing.stop()
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(runs(file)).toBe(0)
  })

  it('APP-3 the requester cannot approve', async () => {
    const gateway = await start({ rules: ASK })
    const wire = await login(gateway)
    const id = await wire.openSession()
    wire.send(message.request(id, 'exec', true, sshText(held(marker()))))
    await waits(gateway, 1)
    expect(gateway.broker.approve(gateway.broker.list()[0]?.id ?? '', { id: 'alice', type: 'agent' }).ok).toBe(false)
    wire.close()
    await gateway.stop()
  })

  it('APP-6 floods of holds are bounded, in number and in memory, and the client is kept alive', async () => {
    const gateway = await start({ rules: ASK, limits: { keepaliveMs: 300 }, enforcer: { limits: { remindMs: 200 } } })
    const wire = await login(gateway)
    const before = process.memoryUsage().rss
    for (let sender = 0; sender < 60; sender++) {
      const id = await wire.openSession(sender)
      wire.send(message.request(id, 'exec', true, sshText(held(marker()))), message.data(id, Buffer.alloc(32_768)))
    }
    await wire.settle()
    expect(gateway.broker.list().length).toBeLessThanOrEqual(5)
    expect(process.memoryUsage().rss - before).toBeLessThan(150_000_000)
    expect(Buffer.concat(wire.seen).toString('latin1')).toContain('sallyport: refused')
    const asked = wire.seen.length
    const end = Date.now() + 2_500
    while (Date.now() < end) {
      const next = await wire.next(3_000)
      if (next?.[0] === 80) wire.send(Buffer.of(82))
      if (wire.seen.slice(asked).some((payload) => payload[0] === 80)) break
    }
    expect(wire.seen.slice(asked).some((payload) => payload[0] === 80 || payload[0] === 95)).toBe(true)
    wire.close()
    await waits(gateway, 0)
    await gateway.stop()
  })
})

describe('CRED-1 CRED-2 what the target gets, and tells', () => {
  const PASSWORD = 'gateway-password-7731'
  const byPassword = staticSshCredentials({
    web: { method: 'password', user: 'deploy', password: new Secret(PASSWORD) },
  })

  it('CRED-1 no password, and no user name, goes to a host with another key', async () => {
    const seen: number[] = []
    const target = await startWireServer(
      async (peer) => {
        for (let next = await peer.next(5_000); next !== undefined; next = await peer.next(5_000))
          seen.push(next[0] as number)
      },
      { asksNoLogin: true },
    )
    const other = publicBlob(generateKeyPairSync('ed25519').privateKey).toString('base64')
    const gateway = await start({
      server: { ...world.server, port: target.port },
      hostKeys: pinnedHostKeys([`ssh-ed25519 ${other}`]),
      credentials: byPassword,
    })
    expect((await gateway.ssh(['true'])).code).toBe(255)
    // DISCONNECT at most.
    expect(seen.filter((type) => type !== 1)).toEqual([])
    await gateway.stop()
    target.stop()
  })

  it('CRED-1 questions that are not for the password get no password', async () => {
    const answers: string[] = []
    const target = await startWireServer(
      async (peer) => {
        await peer.until(5)
        peer.send(new SshWriter().u8(6).text('ssh-userauth').take())
        for (;;) {
          const request = await peer.next(3_000).catch(() => undefined)
          if (request === undefined) return
          if (request[0] === 61) {
            const read = reader(request, 1)
            const count = read.uint32()
            for (let at = 0; at < count; at++) answers.push(read.text())
            peer.send(new SshWriter().u8(51).nameList(['keyboard-interactive']).boolean(false).take())
          } else if (request.includes('keyboard-interactive')) {
            // A question whose answer is shown, then several.
            const shown = new SshWriter()
              .u8(60)
              .text('')
              .text('')
              .text('')
              .u32(1)
              .text('Password: ')
              .boolean(true)
              .take()
            peer.send(shown)
          } else {
            peer.send(new SshWriter().u8(51).nameList(['keyboard-interactive']).boolean(false).take())
          }
        }
      },
      { asksNoLogin: true },
    )
    const gateway = await start({
      server: { ...world.server, port: target.port },
      hostKeys: pinnedHostKeys([target.hostKeyLine]),
      credentials: byPassword,
    })
    expect((await gateway.ssh(['true'])).code).toBe(255)
    expect(answers.join('')).not.toContain(PASSWORD)
    await gateway.stop()
    target.stop()
  })

  it('CRED-2 what a target says with the password in it, while it logs us in or refuses to, reaches no client and no record', async () => {
    const store = new MemoryRecordStore()
    const target = await startWireServer(
      async (peer) => {
        await peer.until(5)
        peer.send(new SshWriter().u8(6).text('ssh-userauth').take())
        const request = await peer.until(50)
        const given = request.includes(PASSWORD) ? PASSWORD : 'none'
        const text = `you said ${given}\x1b]0;${given}\x07`
        peer.send(new SshWriter().u8(4).boolean(true).text(text).text('').take())
        peer.send(new SshWriter().u8(53).text(text).text('').take())
        peer.send(new SshWriter().u8(51).nameList([given]).boolean(false).take())
        peer.send(new SshWriter().u8(1).u32(14).text(text).text('').take())
      },
      { asksNoLogin: true },
    )
    const gateway = await start({
      store,
      server: { ...world.server, port: target.port },
      hostKeys: pinnedHostKeys([target.hostKeyLine]),
      credentials: byPassword,
    })
    const failures: unknown[] = []
    gateway.gateway.events.on('failed', (_info, error) => failures.push(String(error), JSON.stringify(error)))
    const result = await gateway.ssh(['true'], { options: ['-v'] })
    expect(result.code).toBe(255)
    expect(result.stdout + result.stderr).not.toContain(PASSWORD)
    await gateway.stop()
    target.stop()
    expect(await textOf(store)).not.toContain(PASSWORD)
    expect(failures.join()).not.toContain(PASSWORD)
  })

  it('CRED-2 what a target says outside of output (reasons, signals, requests) is not passed on in its words', async () => {
    const target = await startWireServer(async (peer) => {
      for (let open = await peer.until(90); ; open = await peer.until(90)) {
        const client = open.readUInt32BE(5 + open.readUInt32BE(1))
        if (client === 1) {
          peer.send(new SshWriter().u8(92).u32(client).u32(2).text(PASSWORD).text('').take())
          continue
        }
        peer.send(message.opened(client, client))
        await peer.until(98)
        const signal = new SshWriter().text('TERM').boolean(false).text(PASSWORD).text('').take()
        peer.send(
          message.success(client),
          message.request(client, PASSWORD, false),
          message.global(PASSWORD, false),
          message.request(client, 'exit-signal', false, signal),
          message.close(client),
        )
      }
    })
    const gateway = await start({
      server: { ...world.server, port: target.port },
      hostKeys: pinnedHostKeys([target.hostKeyLine]),
    })
    const wire = await login(gateway)
    wire.send(message.open('session', 0))
    expect((await wire.until(91, 92))[0]).toBe(92)
    const id = await wire.openSession(1)
    wire.send(message.request(id, 'exec', true, sshText('true')))
    await wire.until(97)
    const all = Buffer.concat(wire.seen).toString('latin1')
    expect(all).toContain('TERM')
    expect(all).not.toContain(PASSWORD)
    wire.close()
    await gateway.stop()
    target.stop()
  })

  it('CRED-2 a secret that a rule masks is masked on stdout, stderr and a terminal, however it is cut', async () => {
    const card = '4111111111111111'
    const gateway = await start({
      rules: [
        { ...ALLOW_ALL, terminal: 'guarded' },
        { id: 'cards', mask: { detectors: ['card'] } },
      ],
    })
    for (const command of [
      `printf 4111; sleep 0.05; printf 1111; sleep 0.05; printf 11111111`,
      `printf '4111\\033[0m1111\\033[1m11111111'`,
      `printf ${card} >&2`,
      `printf %s 4111-1111-1111-1111`,
    ]) {
      const wire = await login(gateway)
      const result = await wire.exec(command)
      const said = (result.stdout + result.stderr).replaceAll(/\x1b\[\d*m|\D/g, '')
      expect([command, said.includes(card)]).toEqual([command, false])
      wire.close()
    }
    await gateway.stop()
  })
})
