import { spawn } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Rule } from '../../../src/policy/index.js'
import { MemoryRecordStore } from '../../../src/recording/index.js'
import { ALLOW_ALL, finished, startSshGateway, type TestSshGateway } from '../../support/ssh-gateway.js'
import { asciicastOf, verifiedRecordings } from '../../support/ssh-recordings.js'
import { startSshd, type SshdServer } from '../../support/sshd.js'
import { TestTerminal } from '../../support/terminal.js'
import { pause, until } from '../../support/until.js'

const CARD = '4111111111111111'
const CARDS: Rule = { id: 'cards', mask: { detectors: ['card'] } }
const FULL: Rule = { id: 'full', recordLevel: 'full' }

let server: SshdServer
const gateways: TestSshGateway[] = []
const terminals: TestTerminal[] = []
const failures: unknown[] = []

beforeAll(async () => {
  server = await startSshd()
})

afterEach(async () => {
  for (const terminal of terminals.splice(0)) terminal.kill()
  for (const gateway of gateways.splice(0)) await gateway.stop()
  if (failures.length > 0) throw new Error('the gateway failed', { cause: failures.splice(0)[0] })
})

afterAll(async () => {
  await server?.stop()
})

async function start(...rules: Rule[]): Promise<TestSshGateway & { readonly memory: MemoryRecordStore }> {
  const store = new MemoryRecordStore()
  const gateway = await startSshGateway({ server, rules, store, enforcer: { limits: { remindMs: 200 } } })
  gateway.gateway.events.on('failed', (_info, error) => failures.push(error))
  gateways.push(gateway)
  return Object.assign(gateway, { memory: store })
}

function onTerminal(gateway: TestSshGateway, args: readonly string[], size: { columns?: number; rows?: number } = {}) {
  const terminal = new TestTerminal('ssh', args, { env: gateway.env, ...size })
  terminals.push(terminal)
  return terminal
}

/** Written so that typing it is not yet showing it. */
const PROMPT = 'prompt> '
const PROMPT_ESCAPED = 'prompt\\076 '

/** Waits for the prompt. */
async function atPrompt(terminal: TestTerminal): Promise<void> {
  await terminal.shows(PROMPT)
}

/** A shell that does not depend on the files of whoever it runs as. */
async function inShell(terminal: TestTerminal): Promise<TestTerminal> {
  await until(() => terminal.shown !== '')
  terminal.type(`exec env PS1='${PROMPT_ESCAPED}' bash --norc --noprofile\r`)
  await atPrompt(terminal)
  return terminal
}

/** The same where the gateway says which shell it is, which must stay. */
async function inGuardedShell(terminal: TestTerminal): Promise<TestTerminal> {
  await until(() => terminal.shown.length > 10)
  terminal.type(`PS1='${PROMPT_ESCAPED}'\r`)
  await atPrompt(terminal)
  return terminal
}

const RECORD: Rule = { ...ALLOW_ALL, terminal: 'record' }

function sallyport(...args: string[]) {
  const main = join(import.meta.dirname, '../../../src/cli/main.ts')
  return finished(spawn(process.execPath, ['--import', 'tsx', main, ...args], { stdio: 'pipe' }))
}

/** What a person does in a shell, and what it must lead to. */
async function work(terminal: TestTerminal): Promise<number | null> {
  terminal.type('stty size\r')
  await terminal.shows('33 101\r\n')
  await atPrompt(terminal)
  terminal.resize(77, 22)
  terminal.type('stty size\r')
  await terminal.shows('22 77\r\n')
  await atPrompt(terminal)
  terminal.type('echo a $((40+2)); echo b $((40+3)) >&2\r')
  await terminal.shows('a 42')
  await terminal.shows('b 43')
  await atPrompt(terminal)
  terminal.type('sleep 50; echo not reached\r')
  await pause(300)
  terminal.type('\x03')
  await atPrompt(terminal)
  terminal.type('echo interrupted: $?\r')
  await terminal.shows('interrupted: 130')
  await atPrompt(terminal)
  terminal.type('cat\r')
  await pause(200)
  terminal.type('to the cat\r\x04')
  await terminal.shows('to the cat')
  await atPrompt(terminal)
  terminal.type('(exit 9)\r')
  await atPrompt(terminal)
  terminal.type('\x04')
  return terminal.exited
}

describe('a shell on a terminal', () => {
  it.each(['record', 'guarded'] as const)('%s: runs, is resized, interrupted and left', async (mode) => {
    const gateway = await start({ ...ALLOW_ALL, terminal: mode }, FULL)
    const terminal = onTerminal(gateway, gateway.sshArgs([]), { columns: 101, rows: 33 })
    expect(await work(await (mode === 'record' ? inShell : inGuardedShell)(terminal))).toBe(9)
    expect(terminal.shown).not.toContain('interrupted: 0')
    await gateway.gateway.drain(1_000)
    const [lines = []] = await verifiedRecordings(gateway.memory)
    expect(lines.filter(({ type }) => type === 'resize').map(({ columns, rows }) => [columns, rows])).toEqual([
      [101, 33],
      [77, 22],
    ])
    const [name = ''] = await gateway.memory.list()
    for (const version of [2, 3] as const) {
      const cast = await asciicastOf(gateway.memory, name, version)
      expect(cast?.header['version']).toBe(version)
      const outputs = cast?.events.filter(([, code]) => code === 'o').map(([, , text]) => text)
      const shown = outputs?.join('') ?? ''
      expect(shown).toContain('33 101\r\n')
      expect(shown).toContain('interrupted: 130')
      expect(cast?.events.filter(([, code]) => code === 'r').map(([, , text]) => text)).toContain('77x22')
      // Every byte that was shown, in order: the client adds its own last words, if any.
      expect(terminal.shown.startsWith(shown) || shown.startsWith(terminal.shown)).toBe(true)
      expect(shown.length).toBeGreaterThan(200)
    }
  })

  it('has its recording verified and exported by the command line, as a command on a terminal has', async () => {
    const gateway = await start(RECORD, FULL)
    const shell = await inShell(onTerminal(gateway, gateway.sshArgs([]), { columns: 90, rows: 30 }))
    shell.type('stty size; exit 3\r')
    expect(await shell.exited).toBe(3)
    const size = { columns: 70, rows: 20 }
    const command = onTerminal(gateway, gateway.sshArgs(['stty size; exit 4'], { options: ['-t'] }), size)
    expect(await command.exited).toBe(4)
    await gateway.gateway.drain(1_000)
    await verifiedRecordings(gateway.memory)
    const seen: string[] = []
    for (const name of await gateway.memory.list()) {
      const file = join(gateway.folder, name)
      writeFileSync(file, gateway.memory.bytes(name))
      expect((await sallyport('verify', file)).code).toBe(0)
      const v2 = await sallyport('export', file)
      const v3 = await sallyport('export', '--format', 'asciicast-v3', file)
      expect([v2.code, v3.code]).toEqual([0, 0])
      const lines = v3.stdout.split('\n').filter((line) => line.startsWith('['))
      seen.push(`${/\d+ \d+(?=\\r\\n)/.exec(v2.stdout)?.[0]} ${lines.at(-1)?.replace(/^\[[\d.]+/, '[0')}`)
      expect(v2.stdout).toMatch(/^\{"version":\s?2,/)
    }
    expect(seen.toSorted()).toEqual(['20 70 [0, "x", "4"]', '30 90 [0, "x", "3"]'])
  })

  it('record: shows the same bytes as without a gateway', async () => {
    const gateway = await start(RECORD)
    const script = async (terminal: TestTerminal) => {
      await inShell(terminal)
      const from = terminal.shown.length
      for (const line of ['PS1="> "', 'echo \u00fc\u{1f600}', 'printf "\\033[31mred\\033[0m\\n"', 'ls /']) {
        terminal.type(`${line}; echo do""ne\r`)
        await terminal.shows('done\r\n')
        await terminal.shows('> ')
      }
      terminal.type('exit 3\r')
      const code = await terminal.exited
      const { shown } = terminal
      return { code, shown: shown.slice(from, shown.lastIndexOf('exit')) }
    }
    const [direct, guarded] = await Promise.all([
      script(onTerminal(gateway, gateway.directArgs([]))),
      script(onTerminal(gateway, gateway.sshArgs([]))),
    ])
    expect(guarded).toEqual(direct)
  })

  it('deny: is refused with the rule’s words, while commands run, also on terminals', async () => {
    const gateway = await start(ALLOW_ALL, {
      id: 'no-shells',
      effect: 'deny',
      match: { kinds: 'terminal' },
      message: 'commands only',
    })
    const shell = onTerminal(gateway, gateway.sshArgs([]))
    expect(await shell.exited).toBe(126)
    expect(shell.shown).toContain('sallyport: refused: commands only (rule no-shells)')
    const command = onTerminal(gateway, gateway.sshArgs(['tty; exit 4'], { options: ['-t'] }))
    expect(await command.exited).toBe(4)
    expect(command.shown).toContain('/dev/pts/')
    expect(await gateway.ssh([], { input: 'echo in\n' })).toMatchObject({ code: 126, stdout: '' })
  })

  it('guarded: refuses lines, and what is refused does not run in any way', async () => {
    const gateway = await start(ALLOW_ALL, {
      id: 'no-touch',
      effect: 'deny',
      match: { kinds: 'shell', programs: 'touch' },
      message: 'nothing is made here',
    })
    const file = join(server.home, 'made')
    const terminal = await inGuardedShell(onTerminal(gateway, gateway.sshArgs([])))
    const refused = async (typed: string) => {
      terminal.type(typed)
      await terminal.shows('nothing is made here')
      await atPrompt(terminal)
    }
    await refused(`touch ${file}\r`)
    // Recalled from the history, edited, pasted, and put together from several lines.
    await refused('\x1b[A\r')
    await refused(`ouch ${file}\x01t\r`)
    await refused(`to\\\ruch ${file}\r`)
    await refused(`\x1b[200~touch ${file}\x1b[201~\r`)
    terminal.type('echo still $((1+1)) here\r')
    await terminal.shows('still 2 here')
    terminal.type('exit 5\r')
    expect(await terminal.exited).toBe(5)
    expect(existsSync(file)).toBe(false)
  })

  it('guarded: ends a program that takes over the screen, or lets it run where a rule says so', async () => {
    const screen = join(server.home, 'screen.sh')
    writeFileSync(
      screen,
      `trap 'printf "\\033[?1049l"; exit 3' INT
printf '\\033[?1049h'; stty -echo; read -r x; stty echo; printf '\\033[?1049l'; echo "read: [$x]"
`,
    )
    const stubborn = join(server.home, 'stubborn.sh')
    writeFileSync(stubborn, `trap '' INT QUIT TERM\nprintf '\\033[?1049h'; while :; do sleep 1; done\n`)
    const rules: Rule[] = [ALLOW_ALL, { id: 'raw', match: { kinds: 'terminal' }, allowsRawTerminal: true }]
    const strict = await start(ALLOW_ALL)
    const first = await inGuardedShell(onTerminal(strict, strict.sshArgs([])))
    first.type(`bash ${screen}; echo st""atus: $?\r`)
    await first.shows('may not run in a guarded terminal')
    await first.shows('status: 3')
    await atPrompt(first)
    first.type(`bash ${stubborn}\r`)
    // It has no terminal left to take over.
    expect(await first.exited).not.toBe(0)

    const lenient = await start(...rules)
    const second = await inGuardedShell(onTerminal(lenient, lenient.sshArgs([])))
    second.type(`bash ${screen}; echo st""atus: $?\r`)
    await second.shows('\x1b[?1049h')
    await pause(200)
    second.type('unseen\n')
    await second.shows('read: [unseen]')
    await second.shows('status: 0')
    await atPrompt(second)
    second.type('echo li""ne $((20 + 2)); exit 8\r')
    await second.shows('line 22')
    expect(await second.exited).toBe(8)
  })

  it('guarded: sends no secrets, and neither shows nor records them', async () => {
    const gateway = await start(ALLOW_ALL, FULL)
    const terminal = await inGuardedShell(onTerminal(gateway, gateway.sshArgs([])))
    terminal.type('read -r -s -p "Pass""word: " x; echo "got [$x]"\r')
    await terminal.shows('Password: ')
    terminal.type('hunter2\r')
    await terminal.shows('sallyport: ')
    terminal.type('\x03')
    await atPrompt(terminal)
    terminal.type('exit 7\r')
    expect(await terminal.exited).toBe(7)
    expect(terminal.shown).not.toContain('hunter2')
    await gateway.gateway.drain(1_000)
    expect(JSON.stringify(await verifiedRecordings(gateway.memory))).not.toContain('hunter2')
  })

  it('guarded: shows that a line is held, withdraws it at Ctrl-C, and runs it once approved', async () => {
    const gateway = await start(ALLOW_ALL, {
      id: 'ask',
      effect: 'hold',
      match: { kinds: 'shell', programs: 'touch' },
      message: 'somebody has to look at this',
    })
    const never = join(server.home, 'withdrawn')
    const file = join(server.home, 'released')
    const terminal = await inGuardedShell(onTerminal(gateway, gateway.sshArgs([])))
    terminal.type(`touch ${never}\r`)
    await terminal.shows('sallyport: ')
    await until(() => gateway.broker.list().length === 1)
    terminal.type('\x03')
    await atPrompt(terminal)
    await until(() => gateway.broker.list().length === 0)
    terminal.type(`touch ${file} && echo ran $((1+1))\r`)
    await until(() => gateway.broker.list().length === 1)
    await terminal.shows('sallyport: ')
    expect(existsSync(file)).toBe(false)
    gateway.broker.approve(gateway.broker.list()[0]?.id ?? '', { id: 'bob', type: 'human' })
    await terminal.shows('ran 2')
    await atPrompt(terminal)
    terminal.type(`touch ${never}\r`)
    await until(() => gateway.broker.list().length === 1)
    gateway.broker.reject(gateway.broker.list()[0]?.id ?? '', { id: 'bob', type: 'human' }, 'not today')
    await terminal.shows('not today')
    await atPrompt(terminal)
    terminal.type('exit\r')
    expect(await terminal.exited).toBe(0)
    expect([existsSync(file), existsSync(never)]).toEqual([true, false])
  })

  it('is held as a whole, and so is a command on a terminal: Ctrl-C withdraws both', async () => {
    const gateway = await start(RECORD, { id: 'ask', effect: 'hold', match: { kinds: ['terminal', 'shell'] } })
    for (const args of [[], ['touch /tmp/never-ever']]) {
      const terminal = onTerminal(gateway, gateway.sshArgs(args, { options: ['-t'] }))
      await until(() => gateway.broker.list().length === 1)
      await terminal.shows('sallyport: ')
      terminal.type('\x03')
      expect(await terminal.exited).not.toBe(0)
      await until(() => gateway.broker.list().length === 0)
    }
    const terminal = onTerminal(gateway, gateway.sshArgs([]))
    await until(() => gateway.broker.list().length === 1)
    gateway.broker.approve(gateway.broker.list()[0]?.id ?? '', { id: 'bob', type: 'human' })
    await inShell(terminal)
    terminal.type('exit 6\r')
    expect(await terminal.exited).toBe(6)
    expect(existsSync('/tmp/never-ever')).toBe(false)
  })
})

describe('masked terminals', () => {
  const cases: Record<string, string> = {
    'in one piece': `echo ${CARD}`,
    'in pieces': `printf 4111; sleep 0.03; printf 1111; sleep 0.03; echo 11111111`,
    'across escape sequences': `printf '4111\\033[1m1111\\033[0m11111\\033[31m111\\n'`,
    'across pieces and escape sequences': `printf '4111\\033['; sleep 0.02; printf '1m1111\\033[0'; sleep 0.02; printf 'm11111111\\n'`,
    'on stderr': `printf 41111111 >&2; sleep 0.02; echo 11111111 >&2`,
    'behind other scripts, cut inside of their letters': `printf '\\303'; sleep 0.02; printf '\\2744111'; sleep 0.02; printf '1111\\n' | tr -d '\\n'; echo 11111111`,
  }

  for (const mode of ['record', 'guarded'] as const) {
    it(`${mode}: never show a value, however it comes`, async () => {
      const gateway = await start({ ...ALLOW_ALL, terminal: mode }, FULL, CARDS)
      const terminal = await (mode === 'record' ? inShell : inGuardedShell)(onTerminal(gateway, gateway.sshArgs([])))
      terminal.type('stty -echo\r')
      await atPrompt(terminal)
      for (const [name, command] of Object.entries(cases)) {
        const before = terminal.shown.length
        terminal.type(`${command}; echo e""nd\r`)
        await terminal.shows('end\r\n')
        const output = terminal.shown.slice(before).replaceAll(`${command}; echo e""nd`, '')
        const plain = output.replaceAll(/\x1b\[[\d;?]*[a-zA-Z]/g, '').replaceAll(/[^\d]/g, '')
        expect(plain, name).not.toContain(CARD)
        await atPrompt(terminal)
        if (mode === 'guarded') continue
        const { stdout, stderr } = await gateway.direct([command])
        const unmasked = (stdout + stderr).replaceAll(/\x1b\[[\d;?]*[a-zA-Z]/g, '').replaceAll(/[^\d]/g, '')
        expect(unmasked, name).toContain(CARD)
      }
      terminal.type('exit\r')
      await terminal.exited
    })
  }

  it.each(['record', 'guarded'] as const)('%s: do not stall a prompt', async (mode) => {
    const gateway = await start({ ...ALLOW_ALL, terminal: mode }, CARDS)
    const terminal = await (mode === 'record' ? inShell : inGuardedShell)(onTerminal(gateway, gateway.sshArgs([])))
    for (const prompt of ['Name: ', 'Card 4111 1111 ', '\u00fc> ', '[1] 41111']) {
      terminal.type(`printf '%s' "${prompt.slice(0, 1)}""${prompt.slice(1)}"; read answer; echo "got <$answer>"\r`)
      await terminal.shows('\n')
      const asked = Date.now()
      await terminal.shows(prompt, 2_000)
      expect(Date.now() - asked).toBeLessThan(1_500)
      terminal.type('yes\r')
      await terminal.shows('got <yes>')
      await atPrompt(terminal)
    }
    terminal.type('exit\r')
    await terminal.exited
  })
})
