import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { SshWriter } from '../../../src/core/index.js'
import { pinnedHostKeys } from '../../../src/credentials/ssh/index.js'
import { packs, type Rule } from '../../../src/policy/index.js'
import { ALLOW_ALL, finished, startSshGateway, type TestSshGateway } from '../../support/ssh-gateway.js'
import { message, ptyRequest, sshText, SshWire, startWireServer } from '../../support/ssh-wire.js'
import { type SshWorld, startSshWorld, until } from './ssh-support.js'

const RULES: Rule[] = [
  ...packs.sshBaseline,
  ALLOW_ALL,
  { id: 'no-touch', effect: 'deny', match: { kinds: 'shell', programs: 'touch' }, message: 'nothing is made here' },
  { id: 'ask', effect: 'hold', match: { kinds: 'shell', programs: 'tee' } },
  { id: 'no-kill', effect: 'deny', match: { requests: ['signal', 'break'], not: { names: ['TERM', 'INT'] } } },
]

let world: SshWorld
let markers = 0
const uncaught: unknown[] = []
const onUncaught = (error: unknown): void => void uncaught.push(error)

beforeAll(async () => {
  process.on('uncaughtException', onUncaught)
  world = await startSshWorld({ rules: RULES })
})

afterAll(async () => {
  process.off('uncaughtException', onUncaught)
  await world?.stop()
})

afterEach(() => {
  if (uncaught.length > 0) throw new Error('something was thrown that nobody caught', { cause: uncaught[0] })
  world.failures.length = 0
  world.judged.length = 0
  world.refused.length = 0
})

const login = (gateway: TestSshGateway = world.gateway): Promise<SshWire> =>
  SshWire.login(gateway.port, gateway.keyFile)
/** A file that only a command that runs can have made. */
const marker = (): string => join(world.server.home, `marker-${++markers}`)
const exec = (command: string): Buffer => sshText(command)
const env = (name: string, value = '1'): Buffer => sshText(name, value)

/** The connection ends by what was sent last, which is a violation. */
async function endsIt(wire: SshWire): Promise<void> {
  await wire.untilClosed()
  await until(() => world.failures.some(({ code }) => code === 'protocol_violation' || code === 'limit_exceeded'))
  world.failures.length = 0
}

describe('SSH-3 environment', () => {
  const REFUSED = [
    'LD_PRELOAD',
    'LD_LIBRARY_PATH',
    'LD_AUDIT',
    'ld_preload',
    'GIT_SSH_COMMAND',
    'GIT_SSH',
    'GIT_EXTERNAL_DIFF',
    'GIT_CONFIG_COUNT',
    'GIT_PROTOCOL',
    'BASH_ENV',
    'ENV',
    'PS4',
    'PROMPT_COMMAND',
    'SHELLOPTS',
    'BASHOPTS',
    'BASH_FUNC_ls%%',
    'BASH_FUNC_ls()',
    'IFS',
    'PATH',
    'HOME',
    'SHELL',
    'CDPATH',
    'GLOBIGNORE',
    'PERL5OPT',
    'PERL5LIB',
    'PYTHONSTARTUP',
    'PYTHONPATH',
    'RUBYOPT',
    'NODE_OPTIONS',
    'EDITOR',
    'PAGER',
    'LESSOPEN',
    'MANPAGER',
    'TERMINFO',
    'TERMCAP',
    'HOSTALIASES',
    'LOCPATH',
    'NLSPATH',
    'GCONV_PATH',
    'SSH_AUTH_SOCK',
    'SSH_ORIGINAL_COMMAND',
    'TMPDIR',
    'MALLOC_CHECK_',
    'XLC_ALL',
    ' LANG',
    'LANG ',
    'LANG\nLD_PRELOAD',
    'LANG=x\nLD_PRELOAD',
    '',
    '=',
  ]

  it('SSH-3 LD_PRELOAD, GIT_SSH_COMMAND, BASH_ENV, PS4 and their like are refused, and the target hears of none', async () => {
    const mark = world.mark()
    const wire = await login()
    const id = await wire.openSession()
    for (const name of REFUSED) {
      wire.send(message.request(id, 'env', true, env(name, '/tmp/evil')))
      expect([name, (await wire.until(99, 100))[0]]).toEqual([name, 100])
    }
    wire.send(message.request(id, 'exec', true, exec('env')))
    await wire.until(97)
    expect(wire.output().toString()).not.toContain('evil')
    expect(world.logSince(mark)).not.toMatch(/req(uest)? env/)
    wire.close()
  })

  it('SSH-3 locale and the look of text are passed on', async () => {
    const wire = await login()
    const id = await wire.openSession()
    for (const [name, value] of [
      ['LANG', 'C.UTF-8'],
      ['LC_ALL', 'C'],
      ['LC_TIME', 'en_GB.UTF-8'],
    ] as const) {
      wire.send(message.request(id, 'env', true, env(name, value)))
      expect([name, (await wire.until(99, 100))[0]]).toEqual([name, 99])
    }
    wire.send(message.request(id, 'exec', true, exec('echo $LANG $LC_ALL $LC_TIME')))
    await wire.until(97)
    expect(wire.output().toString()).toBe('C.UTF-8 C en_GB.UTF-8\n')
    wire.close()
  })

  it('SSH-3 real ssh sends them, with -o SendEnv and SetEnv, in vain', async () => {
    const names = ['LD_PRELOAD', 'GIT_SSH_COMMAND', 'BASH_ENV', 'PS4']
    const values = Object.fromEntries(names.map((name) => [name, '']))
    const result = await world.gateway.ssh(['env'], {
      options: ['-o', `SendEnv=${names.join(' ')} LANG`, '-o', 'SetEnv=PROMPT_COMMAND=evil PYTHONPATH=/tmp/evil'],
      env: { ...values, LANG: 'C.UTF-8' },
    })
    expect(result.code).toBe(0)
    for (const name of [...names, 'evil']) expect(result.stdout).not.toContain(name)
    expect(result.stdout).toContain('LANG=C.UTF-8')
  })

  it('SSH-3 variables with a NUL, too many, or too long, are not passed on', async () => {
    const nul = await login()
    nul.send(message.request(await nul.openSession(), 'env', true, env('LANG\0LD_PRELOAD', 'x')))
    await endsIt(nul)
    const wire = await login()
    const id = await wire.openSession()
    const long = 'x'.repeat(20_000)
    const outcomes: (number | undefined)[] = []
    for (let i = 0; i < 200; i++) {
      wire.send(message.request(id, 'env', true, env(`LC_${i}`, i < 8 ? long : 'y')))
      outcomes.push((await wire.until(99, 100))[0])
    }
    expect(outcomes.filter((type) => type === 99).length).toBeLessThanOrEqual(128)
    expect(world.refused.some((text) => text.includes('beyond its limit'))).toBe(true)
    wire.close()
  })

  it('SSH-3 variables set in the line itself are judged with it', async () => {
    const preload = await startSshGateway({
      server: world.server,
      rules: [{ id: 'ls', effect: 'allow', match: { programs: 'ls', files: ['/tmp'] } }],
    })
    for (const line of ['LD_PRELOAD=/tmp/x ls /tmp', 'env LD_PRELOAD=/tmp/x ls /tmp', 'export PATH=/tmp; ls /tmp']) {
      expect([line, (await preload.ssh([line])).code]).toEqual([line, 126])
    }
    expect((await preload.ssh(['ls /tmp'])).code).toBe(0)
    await preload.stop()
  })
})

describe('SSH-3 requests of a channel', () => {
  it('SSH-3 a channel starts one thing: a second exec, shell or subsystem fails and does not run', async () => {
    const wire = await login()
    const id = await wire.openSession()
    const file = marker()
    const mark = world.mark()
    wire.send(
      message.request(id, 'exec', true, exec('sleep 0.4; echo first')),
      message.request(id, 'exec', true, exec(`echo second > ${file}`)),
      message.request(id, 'shell', true),
      message.request(id, 'subsystem', true, sshText('sftp')),
      message.request(id, 'pty-req', true, ptyRequest()),
    )
    await wire.until(97)
    expect(wire.types().filter((type) => type === 99 || type === 100)).toEqual([99, 100, 100, 100, 100])
    expect(wire.output().toString()).toBe('first\n')
    expect(existsSync(file)).toBe(false)
    expect(world.logSince(mark).match(/req(uest)? exec/g)?.length).toBeLessThanOrEqual(2)
    expect(world.logSince(mark)).not.toMatch(/req(uest)? (shell|subsystem|pty-req)/)
    wire.close()
  })

  it('SSH-3 after a refused start nothing else starts on its channel', async () => {
    const wire = await login()
    const id = await wire.openSession()
    const file = marker()
    const mark = world.mark()
    wire.send(
      message.request(id, 'exec', true, exec(`touch ${file}`)),
      message.request(id, 'exec', true, exec(`echo sneaked > ${file}`)),
      message.request(id, 'shell', true),
      message.data(id, `echo typed > ${file}\n`),
      message.eof(id),
    )
    await wire.until(97)
    expect(wire.output(0, 1).toString()).toContain('nothing is made here')
    expect(existsSync(file)).toBe(false)
    expect(world.logSince(mark)).not.toMatch(/req(uest)? (exec|shell)/)
    wire.close()
  })

  it('SSH-3 what is sent before a command is permitted reaches only it, and nothing where it is not', async () => {
    const wire = await login()
    const id = await wire.openSession(7)
    // All in one segment, nothing of it answered yet.
    wire.sendRaw(
      Buffer.concat(
        [
          message.data(id, 'before '),
          message.request(id, 'exec', true, exec('cat')),
          message.data(id, 'behind'),
          message.eof(id),
        ].map((payload) => wire.seal(payload)),
      ),
    )
    await wire.until(97)
    expect(wire.output(7).toString()).toBe('before behind')
    const held = await login()
    const other = await held.openSession()
    const file = marker()
    held.send(
      message.request(other, 'exec', true, exec(`tee ${file}`)),
      message.data(other, 'sent ahead'),
      message.eof(other),
    )
    await until(() => world.gateway.broker.list().length === 1)
    expect(existsSync(file)).toBe(false)
    world.gateway.broker.reject(world.gateway.broker.list()[0]?.id ?? '', { id: 'bob', type: 'human' }, 'no')
    await held.until(97)
    expect(existsSync(file)).toBe(false)
    wire.close()
    held.close()
  })

  it('SSH-3 a start while another waits for an approval does not overtake it', async () => {
    const wire = await login()
    const id = await wire.openSession()
    const [held, sneaked] = [marker(), marker()]
    wire.send(
      message.request(id, 'exec', true, exec(`tee ${held}`)),
      message.request(id, 'exec', true, exec(`echo x > ${sneaked}`)),
    )
    await until(() => world.gateway.broker.list().length === 1)
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect([existsSync(held), existsSync(sneaked)]).toEqual([false, false])
    wire.close()
    await until(() => world.gateway.broker.list().length === 0)
    expect([existsSync(held), existsSync(sneaked)]).toEqual([false, false])
  })

  it('SSH-3 terminals: asked for twice, behind the start, or resized without being there, fail', async () => {
    const wire = await login()
    const id = await wire.openSession()
    const size = new SshWriter().u32(100).u32(30).u32(0).u32(0).take()
    wire.send(
      message.request(id, 'window-change', true, size),
      message.request(id, 'pty-req', true, ptyRequest()),
      message.request(id, 'pty-req', true, ptyRequest('vt100')),
      message.request(id, 'window-change', true, size),
      message.request(id, 'exec', true, exec('stty size; echo $TERM')),
      message.request(id, 'pty-req', true, ptyRequest('evil')),
    )
    await wire.until(97)
    expect(wire.types().filter((type) => type === 99 || type === 100)).toEqual([100, 99, 100, 99, 99, 100])
    expect(wire.output().toString()).toBe('30 100\r\nxterm\r\n')
    wire.close()
  })

  it('SSH-3 signals and breaks are judged by their names', async () => {
    const wire = await login()
    const id = await wire.openSession()
    const mark = world.mark()
    wire.send(
      message.request(id, 'signal', true, sshText('TERM')),
      message.request(id, 'exec', true, exec('exec sleep 30')),
      message.request(id, 'signal', true, sshText('KILL')),
      message.request(id, 'signal', false, sshText('HUP')),
      message.request(id, 'break', true, new SshWriter().u32(500).take()),
    )
    await wire.until(99)
    await wire.until(100)
    await wire.until(100)
    expect(world.logSince(mark)).not.toMatch(/req(uest)? (signal|break)/)
    wire.send(message.request(id, 'signal', false, sshText('TERM')))
    const exit = await wire.until(98)
    expect(exit.toString('latin1')).toContain('TERM')
    expect(
      world.judged.filter(({ kind }) => kind === 'ssh-request').map(({ text, isPermitted }) => [text, isPermitted]),
    ).toEqual([
      ['signal KILL', false],
      ['signal HUP', false],
      ['break', false],
      ['signal TERM', true],
    ])
    wire.close()
  })

  it('SSH-3 a signal with a name that is none ends the connection', async () => {
    for (const name of ['KILL\n', 'TERM,KILL', 'KILL\0', 'Ü']) {
      const wire = await login()
      const id = await wire.openSession()
      wire.send(message.request(id, 'exec', true, exec('cat')), message.request(id, 'signal', true, sshText(name)))
      await endsIt(wire)
    }
  })

  it('SSH-3 unknown requests of a channel fail, and the target hears of none', async () => {
    const wire = await login()
    const id = await wire.openSession()
    const mark = world.mark()
    for (const name of [
      'unknown@example.com',
      'xon-xoff',
      'exit-status',
      'exec2',
      'EXEC',
      '',
      'winadj@putty.projects.tartarus.org',
    ]) {
      wire.send(message.request(id, name, true))
      expect([name, (await wire.until(99, 100))[0]]).toEqual([name, 100])
      wire.send(message.request(id, name, false))
    }
    expect(await wire.settle()).toEqual([])
    expect(world.logSince(mark)).not.toMatch(/req(uest)? (unknown|xon|exit|exec|EXEC|winadj)/)
    wire.close()
  })

  it('SSH-3 commands that are no text are refused, and the target hears of none', async () => {
    const mark = world.mark()
    for (const bytes of [
      Buffer.from('echo a\0; touch /tmp/x'),
      Buffer.from([0x65, 0xff, 0xfe]),
      Buffer.from('echo \ud800', 'utf16le'),
      Buffer.from([0xc0, 0xaf]),
    ]) {
      const wire = await login()
      const id = await wire.openSession()
      wire.send(message.request(id, 'exec', true, new SshWriter().string(bytes).take()))
      await wire.until(97)
      expect(wire.output(0, 1).toString()).toContain('refused')
      wire.close()
    }
    expect(world.logSince(mark)).not.toMatch(/req(uest)? exec/)
  })

  it('SSH-3 an empty command is no way to an interactive shell', async () => {
    const strict = await startSshGateway({
      server: world.server,
      rules: [{ id: 'echo', effect: 'allow', match: { programs: 'echo' } }],
    })
    const file = marker()
    for (const command of ['', ' ', '\n', '#']) {
      const wire = await login(strict)
      const id = await wire.openSession()
      wire.send(
        message.request(id, 'exec', true, exec(command)),
        message.data(id, `echo in > ${file}\n`),
        message.eof(id),
      )
      await wire.until(97)
      expect([command, existsSync(file)]).toEqual([command, false])
      wire.close()
    }
    await strict.stop()
  })

  it('SSH-3 requests whose data is longer or shorter than it says end the connection', async () => {
    const bad: [string, Buffer][] = [
      ['exec', Buffer.concat([exec('true'), Buffer.of(0)])],
      ['exec', Buffer.from('0000ffff74', 'hex')],
      ['exec', Buffer.from('ffffffff74', 'hex')],
      ['exec', Buffer.alloc(0)],
      ['shell', Buffer.of(0)],
      ['subsystem', Buffer.concat([sshText('sftp'), Buffer.of(1)])],
      ['pty-req', ptyRequest().subarray(0, 12)],
      ['pty-req', Buffer.concat([ptyRequest(), Buffer.of(0)])],
      ['env', sshText('LANG')],
      ['env', sshText('LANG', 'a', 'b')],
      ['signal', Buffer.from('00000010', 'hex')],
      ['break', Buffer.of(0, 0)],
      ['window-change', Buffer.alloc(15)],
      ['x11-req', Buffer.alloc(3)],
      ['auth-agent-req@openssh.com', Buffer.of(1)],
    ]
    for (const [name, data] of bad) {
      const wire = await login()
      const id = await wire.openSession()
      wire.send(message.request(id, name, true, data))
      await endsIt(wire)
    }
  })

  it('SSH-3 floods of requests behind a held one end the connection', async () => {
    const wire = await login()
    const id = await wire.openSession()
    wire.send(message.request(id, 'exec', true, exec(`tee ${marker()}`)))
    await until(() => world.gateway.broker.list().length === 1)
    for (let i = 0; i < 200; i++) wire.send(message.request(id, 'env', true, env('LANG', 'C')))
    await endsIt(wire)
    await until(() => world.gateway.broker.list().length === 0)
  })
})

describe('SSH-4 channels', () => {
  it('SSH-4 several channels at once keep what is said in each apart', async () => {
    const wire = await login()
    const ids: number[] = []
    for (let sender = 0; sender < 8; sender++) ids.push(await wire.openSession(sender))
    for (const [sender, id] of ids.entries()) {
      wire.send(message.request(id, 'exec', false, exec(`cat; echo end ${sender} >&2; exit ${sender}`)))
    }
    for (let round = 0; round < 50; round++) {
      for (const [sender, id] of ids.entries()) wire.send(message.data(id, `${sender}`))
    }
    for (const id of ids) wire.send(message.eof(id))
    for (let closed = 0; closed < 8; closed++) await wire.until(97)
    for (let sender = 0; sender < 8; sender++) {
      expect(wire.output(sender).toString()).toBe(`${sender}`.repeat(50))
      expect(wire.output(sender, 1).toString()).toBe(`end ${sender}\n`)
    }
    wire.close()
  })

  it('SSH-4 a client that calls two channels by one number gets no judgement mixed up', async () => {
    const wire = await login()
    const first = await wire.openSession(5)
    const second = await wire.openSession(5)
    expect(first).not.toBe(second)
    const [denied, allowed] = [marker(), marker()]
    wire.send(
      message.request(first, 'exec', true, exec(`touch ${denied}`)),
      message.request(second, 'exec', true, exec(`echo x > ${allowed}`)),
    )
    await wire.until(97)
    await wire.until(97)
    expect([existsSync(denied), existsSync(allowed)]).toEqual([false, true])
    wire.close()
  })

  it('SSH-4 a number that was closed is not used again, and is no way into the next channel', async () => {
    const wire = await login()
    await wire.exec('true')
    const old = 1
    const next = await wire.openSession(0)
    expect(next).not.toBe(old)
    wire.send(message.request(old, 'exec', true, exec('id')))
    await endsIt(wire)
  })

  const AFTER_CLOSE: [string, (id: number) => Buffer][] = [
    ['data', (id) => message.data(id, 'x')],
    ['EOF', (id) => message.eof(id)],
    ['a second CLOSE', (id) => message.close(id)],
    ['a request', (id) => message.request(id, 'exec', true, exec('id'))],
    ['a window', (id) => message.adjust(id, 100)],
    ['extended data', (id) => message.extended(id, 1, 'x')],
    ['a success', (id) => message.success(id)],
  ]
  it.each(AFTER_CLOSE)('SSH-4 %s after CLOSE ends the connection', async (_name, make) => {
    const wire = await login()
    const id = await wire.openSession()
    wire.send(message.close(id), make(id))
    await endsIt(wire)
  })

  const UNKNOWN: [string, (id: number) => Buffer][] = [
    ...AFTER_CLOSE,
    ['a failure', (id) => message.failure(id)],
    ['a confirmation', (id) => message.opened(id, 0)],
    ['a failure to open', (id) => new SshWriter().u8(92).u32(id).u32(1).text('').text('').take()],
  ]
  it.each(UNKNOWN)('SSH-4 %s for a channel that is not there ends the connection', async (_name, make) => {
    for (const id of [0, 2, 0x7fff_ffff, 0xffff_ffff]) {
      const wire = await login()
      await wire.openSession()
      wire.send(make(id))
      await endsIt(wire)
    }
  })

  it.each([
    ['a reply', (id: number) => message.success(id)],
    ['a confirmation', (id: number) => message.opened(id, 0)],
    ['data after EOF', (id: number) => Buffer.concat([message.data(id, 'late')])],
  ])('SSH-4 %s that nobody asked for ends the connection', async (_name, make) => {
    const wire = await login()
    const id = await wire.openSession()
    wire.send(message.request(id, 'exec', true, exec('cat')), message.eof(id), make(id))
    await endsIt(wire)
  })

  it('SSH-4 EOF before anything, and twice, is an end of input', async () => {
    const wire = await login()
    const id = await wire.openSession()
    wire.send(message.eof(id), message.eof(id), message.request(id, 'exec', true, exec('cat; echo end')))
    await wire.until(97)
    expect(wire.output().toString()).toBe('end\n')
    wire.close()
  })

  it('SSH-4 extended data of a client goes nowhere, whatever its type', async () => {
    const wire = await login()
    const id = await wire.openSession()
    wire.send(message.request(id, 'exec', true, exec('cat')))
    for (const code of [0, 1, 2, 255, 0xffff_ffff]) wire.send(message.extended(id, code, `type ${code}\n`))
    wire.send(message.data(id, 'plain'), message.eof(id))
    await wire.until(97)
    expect(wire.output().toString()).toBe('plain')
    wire.close()
  })

  it('SSH-4 a window of 0 stalls its own channel only, in bounded memory, and goes on when it opens', async () => {
    const wire = await login()
    const stalled = await wire.openSession(0, 0)
    const before = process.memoryUsage()
    wire.send(message.request(stalled, 'exec', true, exec('head -c 50000000 /dev/zero; echo >&2')))
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    expect(wire.output(0).length + wire.output(0, 1).length).toBe(0)
    const after = process.memoryUsage()
    expect(after.arrayBuffers + after.external - before.arrayBuffers - before.external).toBeLessThan(16_000_000)
    expect(await wire.exec('echo others go on', 1)).toMatchObject({ stdout: 'others go on\n' })
    wire.send(message.adjust(stalled, 10))
    await wire.until(94)
    expect(wire.output(0).length).toBe(10)
    wire.send(message.adjust(stalled, 100_000_000))
    await wire.until(97)
    expect(wire.output(0).length).toBe(50_000_000)
    wire.close()
  })

  it('SSH-4 packets of a byte are not made: so little per message would fill memory many times over', async () => {
    for (const maxPacket of [0, 1, 100]) {
      const wire = await login()
      wire.send(message.open('session', 0, 0xffff_ffff, maxPacket))
      const answer = await wire.next()
      expect([1, 92, undefined]).toContain(answer?.[0])
      wire.close()
    }
  })

  it('SSH-4 windows that grow beyond 32 bits, and data beyond a window, end the connection', async () => {
    const grown = await login()
    const id = await grown.openSession()
    grown.send(message.adjust(id, 0xffff_ffff))
    await endsIt(grown)
    const wire = await login()
    wire.send(message.open('session', 0))
    const opened = await wire.until(91)
    const window = opened.readUInt32BE(9)
    const other = opened.readUInt32BE(5)
    for (let sent = 0; sent <= window; sent += 32_768) wire.send(message.data(other, Buffer.alloc(32_768)))
    await endsIt(wire)
  })

  it('SSH-4 there is an end to channels, and the connection goes on beyond it', async () => {
    const wire = await login()
    for (let sender = 0; sender < 300; sender++) wire.send(message.open('session', sender))
    const outcomes: number[] = []
    while (outcomes.length < 300) outcomes.push((await wire.until(91, 92))[0] as number)
    expect(outcomes.filter((type) => type === 91).length).toBeLessThanOrEqual(128)
    expect(await wire.settle()).toEqual([])
    wire.close()
  })

  it('SSH-4 unknown kinds of channels are refused, and the target hears of none', async () => {
    const wire = await login()
    const mark = world.mark()
    const kinds = [
      'x11',
      'forwarded-tcpip',
      'forwarded-streamlocal@openssh.com',
      'auth-agent@openssh.com',
      'SESSION',
      '',
      'session ',
      'lxc@example.com',
      'direct-tcpip@example.com',
    ]
    for (const kind of kinds) {
      wire.send(message.open(kind, 3))
      const answer = await wire.next()
      expect([kind, [1, 92].includes(answer?.[0] ?? -1)]).toEqual([kind, true])
      if (answer?.[0] === 1) break
    }
    expect(world.logSince(mark)).not.toMatch(/ctype (x11|forwarded|auth-agent|SESSION|lxc)/)
    wire.close()
  })

  it('SSH-4 a session opened with data of its own, or behind the promise of no more, ends the connection', async () => {
    const data = await login()
    data.send(message.open('session', 0, 1, 32_768, Buffer.from('extra')))
    await endsIt(data)
    const wire = await login()
    wire.send(message.global('no-more-sessions@openssh.com', false), message.open('session', 0))
    await endsIt(wire)
  })
})

describe('SSH-4 requests of the connection', () => {
  it('SSH-4 unknown ones are answered in order, and the target hears of none', async () => {
    const wire = await login()
    const mark = world.mark()
    const names = [
      'unknown@example.com',
      'hostkeys-prove-00@openssh.com',
      'hostkeys-00@openssh.com',
      'keepalive@openssh.com',
      '',
      'elevate',
      'tun@openssh.com',
    ]
    wire.send(...names.flatMap((name) => [message.global(name, true), message.global(name, false)]))
    expect((await wire.settle()).map((payload) => payload[0])).toEqual(names.map(() => 82))
    expect(world.logSince(mark)).not.toMatch(/server_input_global_request: rtype (unknown|hostkeys|elevate|tun)/)
    wire.close()
  })

  it('SSH-4 replies keep their order while one of them waits for an approval', async () => {
    const holding = await startSshGateway({
      server: world.server,
      rules: [ALLOW_ALL, { id: 'ask', effect: 'hold', match: { requests: 'tcpip-forward' } }],
    })
    const wire = await login(holding)
    const from = wire.seen.length
    const forward = new SshWriter().text('127.0.0.1').u32(0).take()
    wire.send(
      message.global('unknown-1', true),
      message.global('tcpip-forward', true, forward),
      message.global('unknown-2', true),
      message.global('no-reply', false),
      message.global('keepalive@openssh.com', true),
    )
    await until(() => holding.broker.list().length === 1)
    await wire.until(82)
    await new Promise((resolve) => setTimeout(resolve, 100))
    holding.broker.approve(holding.broker.list()[0]?.id ?? '', { id: 'bob', type: 'human' })
    await wire.until(81)
    for (let reply = 0; reply < 2; reply++) await wire.until(82)
    await wire.settle()
    const replies = wire.seen.slice(from).filter((payload) => payload[0] === 81 || payload[0] === 82)
    expect(replies.map((payload) => [payload[0], payload.length])).toEqual([
      [82, 1],
      [81, 5],
      [82, 1],
      [82, 1],
    ])
    wire.close()
    await holding.stop()
  })

  it('SSH-4 replies to no request, and floods of requests that wait, end the connection', async () => {
    for (const reply of [Buffer.of(81), Buffer.of(82)]) {
      const wire = await login()
      wire.send(reply)
      await endsIt(wire)
    }
  })

  it('SSH-4 what the target tells of itself is not passed on, and its keepalives are answered by us', async () => {
    const chatty = await startSshWorld({ settings: ['ClientAliveInterval 1', 'ClientAliveCountMax 2'] })
    const wire = await login(chatty.gateway)
    const result = await wire.exec('sleep 4; echo still here')
    expect(result).toMatchObject({ stdout: 'still here\n', status: 0 })
    // Neither hostkeys-00@openssh.com nor keepalive@openssh.com of the target.
    expect(wire.seen.filter((payload) => payload[0] === 80)).toEqual([])
    wire.close()
    await chatty.stop()
  })

  it('SSH-4 a client is asked for signs of life, and one that gives none is gone', async () => {
    const quick = await startSshGateway({
      server: world.server,
      limits: { keepaliveMs: 300, maxUnansweredKeepalives: 2 },
    })
    const wire = await login(quick)
    const asked = await wire.until(80)
    expect(asked.toString('latin1')).toContain('keepalive@openssh.com')
    await wire.untilClosed()
    await quick.stop()
  })
})

describe('SSH-4 a hostile target', () => {
  /** A gateway before a target that plays with the first session of its client. */
  async function before(
    play: (target: SshWire, channel: { readonly id: number; readonly client: number }) => Promise<void>,
    run: (wire: SshWire, gateway: TestSshGateway) => Promise<void>,
    rules: readonly Rule[] = [ALLOW_ALL],
  ): Promise<string[]> {
    const target = await startWireServer(async (peer) => {
      const open = await peer.until(90)
      const client = open.readUInt32BE(5 + open.readUInt32BE(1))
      peer.send(message.opened(client, 0))
      await play(peer, { id: 0, client })
      while ((await peer.next(20_000)) !== undefined);
    })
    const gateway = await startSshGateway({
      server: { ...world.server, port: target.port },
      hostKeys: pinnedHostKeys([target.hostKeyLine]),
      rules,
    })
    const codes: string[] = []
    gateway.gateway.events.on('failed', (_info, error) => codes.push(error.code))
    try {
      await run(await login(gateway), gateway)
    } finally {
      await gateway.stop()
      target.stop()
    }
    return codes
  }

  const started = async (wire: SshWire): Promise<void> => {
    const id = await wire.openSession()
    wire.send(message.request(id, 'exec', true, exec('cat')))
  }

  const VIOLATIONS: [string, (client: number) => Buffer[]][] = [
    [
      'data beyond its window',
      (client) => Array.from({ length: 250 }, () => message.data(client, Buffer.alloc(32_768))),
    ],
    ['data after EOF', (client) => [message.eof(client), message.data(client, 'late')]],
    ['data after CLOSE', (client) => [message.close(client), message.data(client, 'late')]],
    ['a second CLOSE', (client) => [message.close(client), message.close(client)]],
    ['data for an unknown channel', () => [message.data(99, 'x')]],
    ['data for a channel of another number', (client) => [message.data(client + 1, 'x')]],
    ['a reply to nothing', (client) => [message.success(client), message.success(client)]],
    ['a reply to no request of the connection', () => [Buffer.of(81)]],
    ['a window beyond 32 bits', (client) => [message.adjust(client, 0xffff_ffff)]],
    ['a confirmation of an open channel', (client) => [message.opened(client, 5)]],
    ['an exit status that is too short', (client) => [message.request(client, 'exit-status', false, Buffer.of(1))]],
    [
      'a string longer than its message',
      (client) => [Buffer.concat([message.data(client, 'x').subarray(0, 5), Buffer.from('ffffffff', 'hex')])],
    ],
    ['USERAUTH_SUCCESS once more', () => [Buffer.of(52)]],
    ['an unknown message', () => [Buffer.of(101)]],
    ['a request for authentication', () => [Buffer.of(50)]],
  ]
  it.each(VIOLATIONS)('SSH-4 %s of the target ends the session, and not the gateway', async (_name, make) => {
    const codes = await before(
      async (target, { client }) => {
        await target.until(98)
        target.send(...make(client))
      },
      async (wire) => {
        await started(wire)
        await wire.untilClosed()
      },
    )
    expect(codes).toContain('upstream_protocol_violation')
  })

  it('SSH-4 extended data of another type than stderr does not reach the client', async () => {
    await before(
      async (target, { client }) => {
        await target.until(98)
        target.send(message.success(client))
        for (const code of [0, 2, 77, 0xffff_ffff]) target.send(message.extended(client, code, `type ${code}`))
        target.send(message.extended(client, 1, 'stderr'), message.data(client, 'stdout'), message.close(client))
      },
      async (wire) => {
        await started(wire)
        await wire.until(97)
        const all = Buffer.concat(wire.seen).toString('latin1')
        expect(all).toContain('stderr')
        expect(all).toContain('stdout')
        expect(all).not.toMatch(/type [1-9]/)
      },
    )
  })

  it('SSH-4 output, EOF and the like before anything was started reach nobody', async () => {
    await before(
      async (target, { client }) => {
        target.send(message.data(client, 'before its time'), message.extended(client, 1, 'this too'))
        target.send(message.request(client, 'exit-status', true, new SshWriter().u32(0).take()))
        expect((await target.until(99, 100))[0]).toBe(100)
      },
      async (wire) => {
        await wire.openSession()
        await wire.settle()
        await new Promise((resolve) => setTimeout(resolve, 200))
        await wire.settle()
        expect(Buffer.concat(wire.seen).toString('latin1')).not.toMatch(/before its time|this too|exit-status/)
      },
    )
  })

  it('SSH-1 SSH-4 channels and requests that the target begins unasked are refused', async () => {
    const answers: number[] = []
    const forwarded = new SshWriter().text('127.0.0.1').u32(80).text('10.0.0.1').u32(1).take()
    await before(
      async (target) => {
        for (const [kind, data] of [
          ['forwarded-tcpip', forwarded],
          ['forwarded-streamlocal@openssh.com', sshText('/tmp/s', '')],
          ['auth-agent@openssh.com', Buffer.alloc(0)],
          ['x11', new SshWriter().text('10.0.0.1').u32(1).take()],
          ['session', Buffer.alloc(0)],
          ['direct-tcpip', forwarded],
          ['tun@openssh.com', Buffer.alloc(8)],
          ['unknown', Buffer.alloc(0)],
        ] as const) {
          target.send(message.open(kind, 9, 1_000, 32_768, data))
          answers.push((await target.until(91, 92))[0] as number)
        }
        target.send(message.global('tcpip-forward', true, forwarded), message.global('hostkeys-00@openssh.com', false))
        answers.push((await target.until(81, 82))[0] as number)
      },
      async (wire) => {
        await wire.openSession()
        await until(() => answers.length === 9)
        expect(await wire.settle()).toEqual([])
      },
    )
    expect(answers).toEqual([92, 92, 92, 92, 92, 92, 92, 92, 82])
  })

  it('SSH-4 a target that takes nothing stalls one channel in bounded memory', async () => {
    await before(
      async (target, { client }) => {
        await target.until(98)
        // It said that it takes 2 MiB, and says no more.
        target.send(message.success(client))
      },
      async (wire) => {
        const id = await wire.openSession()
        wire.send(message.request(id, 'exec', true, exec('cat')))
        const adjusted = await wire.until(93)
        let window = 65_536 + adjusted.readUInt32BE(5)
        while (window >= 32_768) {
          wire.send(message.data(id, Buffer.alloc(32_768)))
          window -= 32_768
        }
        await wire.settle()
        const granted = wire.seen.filter((payload) => payload[0] === 93).map((payload) => payload.readUInt32BE(5))
        // What the target took, and as much again that waits here.
        expect(granted.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThan(5_000_000)
      },
    )
  })

  it('SSH-4 a target that refuses what was started is told apart from one that runs it', async () => {
    await before(
      async (target, { client }) => {
        await target.until(98)
        target.send(message.failure(client), message.data(client, 'runs all the same'))
      },
      async (wire) => {
        await started(wire)
        await wire.until(97)
        expect(wire.output().toString()).toBe('')
      },
    )
  })
})

it('SSH-4 a channel that is closed while its command runs ends that command at the target', async () => {
  const file = marker()
  const wire = await login()
  const id = await wire.openSession()
  wire.send(
    message.request(
      id,
      'exec',
      true,
      exec(`trap '' PIPE; while echo x 2>/dev/null; do sleep 0.05; done; echo gone > ${file}`),
    ),
  )
  await wire.until(94)
  wire.send(message.close(id))
  await wire.until(97)
  wire.close()
  await until(() => existsSync(file) && readFileSync(file, 'utf8') === 'gone\n')
})

it('SSH-3 a client that goes in the middle of a hold leaves nothing behind that runs', async () => {
  const file = marker()
  const child = world.gateway.spawnSsh([`tee ${file}`])
  const done = finished(child, 'late')
  await until(() => world.gateway.broker.list().length === 1)
  child.kill('SIGKILL')
  await done
  await until(() => world.gateway.broker.list().length === 0)
  expect(existsSync(file)).toBe(false)
})
