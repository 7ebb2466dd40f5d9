import { chmodSync, existsSync, linkSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { SshWriter } from '../../../src/core/index.js'
import { packs, type Rule } from '../../../src/policy/index.js'
import { startSshGateway, type TestSshGateway } from '../../support/ssh-gateway.js'
import { message, sshText, SshWire } from '../../support/ssh-wire.js'
import { REMOTE, type SshWorld, startSshWorld } from './ssh-support.js'

const SERVER = '/usr/lib/openssh/sftp-server'
const CONTENT = 'TOP-SECRET-CONTENT'

let world: SshWorld
/** Everything but files whose names begin with `secret`. */
let most: TestSshGateway
/** Nothing but SFTP in `pub`. */
let few: TestSshGateway
let home = ''
const at = (...parts: string[]): string => join(home, ...parts)

beforeAll(async () => {
  world = await startSshWorld()
  home = world.server.home
  const noSecrets: Rule = { id: 'no-secret', effect: 'deny', match: { files: '**/secret*' }, message: 'not this file' }
  const all: Rule = { id: 'all', effect: 'allow', match: { kinds: ['shell', 'sftp', 'ssh-request'] } }
  most = await startSshGateway({ server: world.server, rules: [all, noSecrets, ...packs.sshBaseline] })
  few = await startSshGateway({
    server: world.server,
    rules: [
      { id: 'sftp', effect: 'allow', match: { requests: 'subsystem', names: 'sftp' } },
      {
        id: 'pub',
        effect: 'allow',
        match: {
          kinds: 'sftp',
          files: {
            files: [at('pub'), at('pub/**')],
            access: ['read', 'write', 'create', 'list', 'metadata', 'delete'],
          },
        },
      },
      { id: 'where', effect: 'allow', match: { kinds: 'sftp', operations: ['realpath', 'stat'] } },
    ],
  })
})

afterAll(async () => {
  await few?.stop()
  await most?.stop()
  await world?.stop()
})

beforeEach(() => {
  for (const name of readdirSync(home)) rmSync(at(name), { recursive: true, force: true })
  mkdirSync(at('pub'), { mode: 0o777 })
  writeFileSync(at('secret'), CONTENT, { mode: 0o666 })
  writeFileSync(at('pub/open'), 'open', { mode: 0o666 })
  // What sshd's user makes and what we make is in the same folders, whatever our umask.
  for (const path of [home, at('pub')]) chmodSync(path, 0o777)
  for (const path of [at('secret'), at('pub/open')]) chmodSync(path, 0o666)
})

const STATUS = 101
const HANDLE = 102
const OK = 0
const PERMISSION_DENIED = 3
const OP_UNSUPPORTED = 8

/** SFTP of version 3, as raw as it gets. */
class RawSftp {
  readonly wire: SshWire
  readonly #channel: number
  #id = 0
  #seen = 0

  private constructor(wire: SshWire, channel: number) {
    this.wire = wire
    this.#channel = channel
  }

  /** @param start `subsystem` or `exec`, and of what */
  static async open(
    gateway: TestSshGateway,
    start: 'subsystem' | 'exec' = 'subsystem',
    what = 'sftp',
  ): Promise<RawSftp> {
    const wire = await SshWire.login(gateway.port, gateway.keyFile)
    const sftp = new RawSftp(wire, await wire.openSession())
    wire.send(message.request(sftp.#channel, start, true, sshText(what)))
    sftp.say(Buffer.of(1, 0, 0, 0, 3))
    return sftp
  }

  say(packet: Buffer): void {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(packet.length)
    this.wire.send(message.data(this.#channel, Buffer.concat([length, packet])))
  }

  /** The next packet of the server; undefined where it has ended. */
  async next(): Promise<Buffer | undefined> {
    for (;;) {
      const rest = this.wire.output().subarray(this.#seen)
      if (rest.length >= 4 && rest.length >= 4 + rest.readUInt32BE()) {
        const end = 4 + rest.readUInt32BE()
        this.#seen += end
        return rest.subarray(4, end)
      }
      const message = await this.wire.next()
      if (message === undefined || message[0] === 97) return undefined
    }
  }

  async ask(type: number, ...fields: Buffer[]): Promise<Buffer | undefined> {
    const id = Buffer.alloc(4)
    id.writeUInt32BE(++this.#id)
    this.say(Buffer.concat([Buffer.of(type), id, ...fields]))
    return this.next()
  }

  /** The code of a status, `handle`, or another type of answer. */
  async outcome(type: number, ...fields: Buffer[]): Promise<number | string> {
    const answer = await this.ask(type, ...fields)
    if (answer === undefined) return 'ended'
    if (answer[0] === STATUS) return answer.readUInt32BE(5)
    return answer[0] === HANDLE ? 'handle' : `type ${answer[0]}`
  }

  open(path: string, flags = 1): Promise<number | string> {
    return this.outcome(3, sshText(path), u32(flags), u32(0))
  }

  /** An extended request (SFTP 3, section 8). */
  extended(name: string, ...fields: Buffer[]): Promise<number | string> {
    return this.outcome(200, sshText(name), ...fields)
  }

  close(): void {
    this.wire.close()
  }
}

const u32 = (value: number): Buffer => new SshWriter().u32(value).take()
const READ_FLAG = 1
const WRITE_FLAGS = 2 | 8

async function ready(gateway: TestSshGateway): Promise<RawSftp> {
  const sftp = await RawSftp.open(gateway)
  expect((await sftp.next())?.[0]).toBe(2)
  return sftp
}

/** Nothing of the secret came, and it is as it was. */
function isKept(wire: SshWire): void {
  expect(Buffer.concat(wire.seen).includes(CONTENT)).toBe(false)
  expect(readFileSync(at('secret'), 'utf8')).toBe(CONTENT)
}

describe('SSH-2 subsystems', () => {
  it('SSH-2 netconf, unknown ones and other spellings of sftp are refused, and the target hears of none', async () => {
    const names = ['netconf', 'rsync', 'scp', 'SFTP', 'sftp ', 'sftp\t', SERVER, 'sftp\u0000', '', '../sftp', 'shell']
    const mark = world.mark()
    for (const name of names) {
      const wire = await SshWire.login(most.port, most.keyFile)
      const id = await wire.openSession()
      wire.send(message.request(id, 'subsystem', true, sshText(name)))
      for (let next = await wire.next(); next !== undefined && next[0] !== 97; next = await wire.next());
      expect([name, wire.output().length]).toEqual([name, 0])
      wire.close()
    }
    expect(world.logSince(mark)).not.toMatch(/req subsystem/)
  })

  it('SSH-2 without a rule not even sftp is there, by no name', async () => {
    const none = await startSshGateway({
      server: world.server,
      rules: [{ id: 'ls', effect: 'allow', match: { kinds: 'shell', programs: 'ls' } }],
    })
    for (const [start, what] of [
      ['subsystem', 'sftp'],
      ['exec', SERVER],
      ['exec', `scp -f ${at('pub/open')}`],
      ['exec', `scp -t ${at('pub')}`],
      ['exec', 'rsync --server --sender -e. . /'],
      ['exec', "git-upload-pack '/'"],
    ] as const) {
      const sftp = await RawSftp.open(none, start, what)
      expect([what, await sftp.next()]).toEqual([what, undefined])
      sftp.close()
    }
    await none.stop()
  })

  const SERVERS = [
    SERVER,
    `${SERVER} -R`,
    `${SERVER} -d /`,
    `exec ${SERVER}`,
    `cd / && ${SERVER}`,
    `/usr/lib/openssh/../openssh/sftp-server`,
    `/usr/lib/openssh/sftp-serve?`,
    `sh -c ${SERVER}`,
    `env A=1 ${SERVER}`,
    `nice ${SERVER}`,
    `PATH=/usr/lib/openssh sftp-server`,
    `X=${SERVER}; $X`,
    `echo ${SERVER} | sh`,
    `cp ${SERVER} /tmp/not-sftp-$$; /tmp/not-sftp-$$`,
    `cat | ${SERVER}`,
    `${SERVER} | cat`,
    `(${SERVER})`,
    `${SERVER} & wait`,
    `sudo -n ${SERVER}`,
  ]
  it.each(SERVERS)(
    'SSH-2 exec of a file server gets at nothing that sftp would not: %s',
    async (command) => {
      const wired = await startSshGateway({
        server: world.server,
        rules: [
          // Whoever allows what nobody understands has allowed it.
          { id: 'shells', effect: 'allow', match: { kinds: ['shell', 'sftp', 'ssh-request'] } },
          { id: 'no-secret', effect: 'deny', match: { files: '**/secret*' } },
          { id: 'no-unseen', effect: 'deny', match: { hazards: 'unseen-code' } },
        ],
      })
      const sftp = await RawSftp.open(wired, 'exec', command)
      const version = await sftp.next().catch(() => undefined)
      if (version !== undefined) {
        const outcome = await sftp.open(at('secret')).catch(() => 'nothing')
        expect(outcome).not.toBe('handle')
        expect(await sftp.open(at('secret'), WRITE_FLAGS).catch(() => 'nothing')).not.toBe('handle')
      }
      isKept(sftp.wire)
      sftp.close()
      await wired.stop()
    },
    40_000,
  )
})

describe('SSH-2 scp', () => {
  /** What a `scp -f` or `scp -t` at the far end says to whatever it is sent. */
  async function scp(command: string, ...lines: (string | Buffer)[]): Promise<SshWire> {
    const wire = await SshWire.login(most.port, most.keyFile)
    const id = await wire.openSession()
    wire.send(message.request(id, 'exec', true, sshText(command)))
    for (const line of lines) {
      wire.send(message.data(id, line))
      await new Promise((resolve) => setTimeout(resolve, 40))
    }
    wire.send(message.eof(id))
    for (let next = await wire.next(); next !== undefined && next[0] !== 97; next = await wire.next());
    wire.close()
    return wire
  }

  const SOURCES = (): string[] => [
    `scp -f ${at('secret')}`,
    `scp -f -- ${at('secret')}`,
    `scp -v -f ${at('pub/../secret')}`,
    `scp -f ${at('sec*')}`,
    `scp -f ${at('secre?')}`,
    `scp -rf ${home}`,
    `scp -r -f ${at('.')}`,
    `scp -f ${at('pub/open')} ${at('secret')}`,
    `scp -fp ${home}//secret`,
    `/usr/bin/scp -f "${at('sec')}"ret`,
    `cd ${home}; scp -f secret`,
    `cd ${home} && scp -f ./pub/.././secret`,
    `scp -f ${at('secret')} ; true`,
    `scp -f $(echo ${at('secret')})`,
    `cat ${at('secret')}`,
  ]
  it('SSH-2 scp -f gives nothing that a rule denies, however it is asked for', async () => {
    for (const command of SOURCES()) {
      const wire = await scp(command, ...Array.from({ length: 8 }, () => '\0'))
      expect([command, Buffer.concat(wire.seen).includes(CONTENT)]).toEqual([command, false])
    }
    expect(Buffer.concat((await scp(`scp -f ${at('pub/open')}`, '\0', '\0', '\0')).seen).includes('open')).toBe(true)
  })

  it('SSH-2 scp -t takes no file that a rule denies, and no name that leads elsewhere', async () => {
    const file = (name: string): string[] => [`C0666 3 ${name}\n`, 'bad\0']
    const attempts: [string, string[]][] = [
      [`scp -t ${home}`, file('secret')],
      [`scp -t ${at('secret')}`, file('other')],
      [`scp -t ${at('pub/../secret')}`, file('other')],
      [`scp -t ${at('pub')}`, file('../secret')],
      [`scp -t ${at('pub')}`, file(at('secret'))],
      [`scp -rt ${at('pub')}`, ['D0755 0 ..\n', ...file('secret'), 'E\n']],
      [`scp -rt ${home}`, ['D0755 0 pub\n', 'E\n', ...file('secret')]],
      [`scp -rt ${at('pub')}`, ['D0755 0 sub\n', 'E\n', 'E\n', ...file('secret')]],
      [`scp -t ${at('pub')}`, ['C0666 3 open\nC0666 3 ../secret\n', 'bad\0']],
      [`scp -t ${at('pub')}`, ['C0666 3 \n', 'bad\0']],
      [`scp -t ${at('pub')}`, ['C0666 3 .\n', 'bad\0']],
      [`scp -t ${at('pub')}`, ['C0666 99999999999999999999 x\n', 'bad\0']],
      [`scp -t ${at('pub')}`, ['T0 0 0 0\n', 'C9999 3 x\n', 'bad\0']],
      [`cd ${home}; scp -t secret`, file('x')],
    ]
    for (const [command, lines] of attempts) {
      const wire = await scp(command, ...lines)
      isKept(wire)
    }
    expect(existsSync(at('other'))).toBe(false)
    await scp(`scp -t ${at('pub')}`, 'C0666 3 fine\n', 'yes\0')
    expect(readFileSync(at('pub/fine'), 'utf8')).toBe('yes')
  })

  it('SSH-2 real scp and rsync, in both modes, are refused what a rule denies', async () => {
    const options = [...most.sshOptions, '-P', String(most.port)]
    const local = join(world.gateway.folder, 'bad')
    writeFileSync(local, 'bad')
    for (const mode of ['-O', '-s']) {
      const got = await world.program('scp', [...options, mode, `${REMOTE}:${at('secret')}`, `${local}-got`])
      expect(got.code).not.toBe(0)
      const recursive = await world.program('scp', [
        ...options,
        mode,
        '-r',
        `${REMOTE}:${home}`,
        `${local}-tree${mode}`,
      ])
      expect([mode, recursive.stdout.includes(CONTENT)]).toEqual([mode, false])
      expect(
        existsSync(join(`${local}-tree${mode}`, 'secret')) &&
          readFileSync(join(`${local}-tree${mode}`, 'secret'), 'utf8') === CONTENT,
      ).toBe(false)
      const put = await world.program('scp', [...options, mode, local, `${REMOTE}:${at('secret')}`])
      expect(put.code).not.toBe(0)
      expect(readFileSync(at('secret'), 'utf8')).toBe(CONTENT)
    }
    expect(existsSync(`${local}-got`)).toBe(false)
    const ssh = `ssh ${most.sshOptions.join(' ')} -p ${most.port}`
    const rsync = await world.program('rsync', ['-e', ssh, `${REMOTE}:${at('secret')}`, `${local}-rsync`])
    expect(rsync.code).not.toBe(0)
    expect(existsSync(`${local}-rsync`)).toBe(false)
  })
})

describe('SSH-2 SFTP', () => {
  it('SSH-2 paths are judged as what they mean, however they are written (CVE-2026-54336)', async () => {
    const sftp = await ready(few)
    const paths = [
      at('secret'),
      `${at('pub')}/../secret`,
      `${at('pub')}/./../secret`,
      `${at('pub')}//..//secret`,
      `${at('pub')}/sub/../../secret`,
      `${at('pub')}/../pub/../secret`,
      `/..${at('secret')}`,
      `//${at('secret')}`,
      `${home}/pub/../../${home.split('/').at(-1)}/secret`,
      `${at('pub')}\\..\\secret`,
      `${at('pub')}/%2e%2e/secret`,
      `${home}/pubx/../secret`,
      `${home}/pub../secret`,
      '/etc/passwd',
      'secret',
      '~/secret',
      '',
      '.',
      '/',
      `${at('pub')}/\u202e/../../secret`,
    ]
    for (const path of paths) {
      for (const flags of [READ_FLAG, WRITE_FLAGS, 0x1a, 0x3f]) {
        const outcome = await sftp.open(path, flags)
        expect([path, flags, outcome === 'handle']).toEqual([path, flags, false])
      }
    }
    expect(await sftp.open(at('pub/open'))).toBe('handle')
    isKept(sftp.wire)
    sftp.close()
    for (const bad of [`${at('pub/open')}\0`, `${at('pub')}\0/../secret`]) {
      const nul = await ready(few)
      expect(await nul.open(bad)).not.toBe('handle')
      nul.close()
    }
  })

  it('SSH-2 every operation on what a rule denies is denied, and the target is as it was', async () => {
    const sftp = await ready(few)
    const [secret, open] = [sshText(at('secret')), sshText(at('pub/open'))]
    const before = readdirSync(home).sort()
    const size = new SshWriter().u32(1).u64(0n).take()
    const mode = new SshWriter().u32(4).u32(0o777).take()
    const operations: [string, number, Buffer[]][] = [
      ['lstat and readlink', 19, [secret]],
      ['setstat of its size', 9, [secret, size]],
      ['setstat of its mode', 9, [secret, mode]],
      ['opendir', 11, [sshText(home)]],
      ['remove', 13, [secret]],
      ['mkdir', 14, [sshText(at('made')), u32(0)]],
      ['rmdir', 15, [sshText(home)]],
      ['rename from it', 18, [secret, sshText(at('pub/stolen'))]],
      ['rename to it', 18, [open, secret]],
      ['rename out', 18, [open, sshText(at('out'))]],
      ['symlink to it', 20, [secret, sshText(at('pub/link'))]],
      ['symlink to it, relative', 20, [sshText('../secret'), sshText(at('pub/link2'))]],
      ['symlink beside it', 20, [open, sshText(at('link3'))]],
    ]
    for (const [name, type, fields] of operations) {
      expect([name, await sftp.outcome(type, ...fields)]).toEqual([name, PERMISSION_DENIED])
    }
    const extensions: [string, Buffer[]][] = [
      ['posix-rename@openssh.com', [secret, sshText(at('pub/stolen'))]],
      ['posix-rename@openssh.com', [open, secret]],
      ['hardlink@openssh.com', [secret, sshText(at('pub/hard'))]],
      ['hardlink@openssh.com', [open, sshText(at('hard'))]],
      ['statvfs@openssh.com', [sshText('/etc')]],
      ['lsetstat@openssh.com', [secret, mode]],
    ]
    for (const [name, fields] of extensions) {
      const outcome = await sftp.extended(name, ...fields)
      expect([name, outcome === PERMISSION_DENIED || outcome === OP_UNSUPPORTED]).toEqual([name, true])
    }
    expect(readdirSync(home).sort()).toEqual(before)
    expect(readdirSync(at('pub'))).toEqual(['open'])
    isKept(sftp.wire)
    sftp.close()
  })

  it('SSH-2 extensions that are not decoded are not offered, and not passed on', async () => {
    const sftp = await RawSftp.open(few)
    const version = await sftp.next()
    const known =
      /posix-rename|statvfs|hardlink|fsync|lsetstat|limits|expand-path|copy-data|home-directory|users-groups/
    const offered = version?.subarray(5).toString('latin1') ?? ''
    for (const [name] of offered.matchAll(/[a-z-]+(@[a-z.]+)/g)) expect(name).toMatch(known)
    for (const name of [
      'exec@example.com',
      'md5-hash',
      'check-file',
      'copy-file',
      'space-available',
      'vendor-id',
      '',
    ]) {
      expect([name.slice(0, 20), await sftp.extended(name, sshText(at('secret')))]).toEqual([
        name.slice(0, 20),
        OP_UNSUPPORTED,
      ])
    }
    sftp.close()
  })

  it('SSH-2 copy-data moves nothing between files of which one is denied', async () => {
    const sftp = await ready(few)
    const handleOf = async (path: string, flags: number): Promise<Buffer> => {
      const answer = await sftp.ask(3, sshText(path), u32(flags), u32(0))
      return answer?.[0] === HANDLE ? answer.subarray(5) : sshText('\0\0\0\0')
    }
    const from = await handleOf(at('pub/open'), READ_FLAG)
    const range = new SshWriter().u64(0n).u64(0n).take()
    for (const handle of ['\0\0\0\x01', '\0\0\0\x07', '', 'x'.repeat(300)]) {
      const outcome = await sftp.extended('copy-data', sshText(handle), range, from, new SshWriter().u64(0n).take())
      expect(outcome).not.toBe(OK)
    }
    isKept(sftp.wire)
    sftp.close()
  })

  it('SSH-2 handles of one channel are worth nothing in another, and do no more than they were opened for', async () => {
    const [first, second] = [await ready(few), await ready(few)]
    const answer = await first.ask(3, sshText(at('pub/open')), u32(READ_FLAG), u32(0))
    const handle = answer?.subarray(5) ?? Buffer.alloc(0)
    const offset = new SshWriter().u64(0n).take()
    expect(await second.outcome(5, handle, offset, u32(100))).not.toBe('type 103')
    expect(await first.outcome(6, handle, offset, sshText('written'))).not.toBe(OK)
    expect(await first.outcome(10, handle, new SshWriter().u32(1).u64(0n).take())).not.toBe(OK)
    expect(readFileSync(at('pub/open'), 'utf8')).toBe('open')
    first.close()
    second.close()
  })

  it('SSH-2 packets that are malformed, too long or too early end the channel', async () => {
    const bad: Buffer[] = [
      Buffer.of(3, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff),
      Buffer.of(3, 0, 0, 0, 1),
      Buffer.of(77, 0, 0, 0, 1),
      Buffer.of(101, 0, 0, 0, 1, 0, 0, 0, 0),
      Buffer.of(1, 0, 0, 0, 3),
      Buffer.of(5),
    ]
    for (const packet of bad) {
      const sftp = await ready(few)
      sftp.say(packet)
      const answer = await sftp.next()
      if (answer !== undefined) expect([STATUS, answer.readUInt32BE(5)]).not.toEqual([STATUS, OK])
      sftp.close()
    }
    for (const length of [0x7fff_ffff, 0xffff_ffff, 1_000_000]) {
      const sftp = await ready(few)
      const head = Buffer.alloc(8)
      head.writeUInt32BE(length)
      sftp.wire.send(message.data(1, head))
      expect([length, await sftp.next().catch(() => 'open')]).toEqual([length, undefined])
      sftp.close()
    }
  })

  it('SSH-2 real sftp with a batch of tricks changes and gets nothing', async () => {
    const local = join(world.gateway.folder, 'got')
    linkSync(at('pub/open'), at('pub/open2'))
    const batch = [
      `-get ${at('secret')} ${local}`,
      `-get ${at('pub/../secret')} ${local}`,
      `-reget ${at('secret')} ${local}`,
      `-cd ${at('pub')}`,
      `-get ../secret ${local}`,
      `-ln -s ../secret s`,
      `-ln ../secret h`,
      `-rename ../secret mine`,
      `-rename -l ../secret mine`,
      `-cp ../secret mine`,
      `-rm ../secret`,
      `-chmod 777 ../secret`,
      `-put ${world.gateway.keyFile}.pub ../secret`,
      `-mkdir ../made`,
      'get open2',
      '',
    ].join('\n')
    const args = [...few.sshOptions, '-P', String(few.port), '-b', '-', REMOTE]
    const result = await world.program('sftp', args, { input: batch })
    expect(existsSync(local)).toBe(false)
    expect(readFileSync(at('secret'), 'utf8')).toBe(CONTENT)
    expect(readdirSync(at('pub')).sort()).toEqual(['open', 'open2'])
    expect(existsSync(at('made'))).toBe(false)
    expect(result.stdout).toContain('get open2')
  })
})
