import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createGuardedTerminal, GUARDED_SHELL_COMMAND, type GuardedTerminal } from './index.js'
import { Screen } from './screen.test-support.js'

/** A real shell on a real terminal as the target, and a client's screen. */
class RealDesk {
  readonly screen = new Screen(80)
  readonly guard: GuardedTerminal
  readonly lines: string[] = []
  readonly events: string[] = []
  readonly #child: ChildProcess
  readonly #home: string

  constructor(shell: string, rawPrograms = false) {
    this.guard = createGuardedTerminal({
      allowsRawTerminal: rawPrograms,
      isIncomplete: (text) => text.split('"').length % 2 === 0 || text.endsWith('\\'),
    })
    this.#home = mkdtempSync(join(tmpdir(), 'sallyport-shell-'))
    const env = {
      PATH: process.env['PATH'] ?? '',
      HOME: this.#home,
      TERM: 'xterm-256color',
      PS1: '$ ',
      LANG: 'C.UTF-8',
    }
    // What the gateway asks for in its own pty-req: the terminal does not echo.
    this.#child = spawn('script', ['-qfec', `stty -echo cols 80 rows 24; ${shell}`, '/dev/null'], {
      env,
      cwd: this.#home,
    })
    this.#child.stdout?.on('data', (chunk: Buffer) => {
      this.guard.output(chunk)
      this.drain()
    })
  }

  drain(): void {
    for (let event = this.guard.next(); event !== undefined; event = this.guard.next()) {
      if (event.type === 'toClient') this.screen.write(event.bytes)
      else if (event.type === 'toUpstream') this.#child.stdin?.write(event.bytes)
      else if (event.type === 'line') {
        this.lines.push(event.text)
        if (event.text.startsWith('rm')) this.guard.refuse(event.lineId, { reason: 'rule', message: 'no' })
        else this.guard.permit(event.lineId)
      } else this.events.push(event.type)
    }
  }

  type(text: string): void {
    this.guard.receive(Buffer.from(text))
    this.drain()
  }

  /** A line editor on the target ends the line once more: an empty line, and nothing worse. */
  get text(): string {
    return this.screen.text.replaceAll('\n\n', '\n')
  }

  async shows(what: RegExp): Promise<void> {
    await vi.waitFor(
      () => {
        if (!what.test(this.screen.text)) throw new Error(`expected ${what} on the screen, got ${this.screen.text}`)
      },
      { timeout: 10_000, interval: 20 },
    )
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#child.once('close', resolve))
    this.#child.kill('SIGKILL')
    await closed
    rmSync(this.#home, { recursive: true, force: true })
  }
}

describe.each([
  ['bash without its line editor', GUARDED_SHELL_COMMAND.replace('--login ', '--norc ')],
  ['bash with its line editor', 'exec bash --norc -i'],
  ['sh', 'exec sh -i'],
])('a guarded terminal before %s', (_name, shell) => {
  let desk: RealDesk
  beforeEach(async () => {
    desk = new RealDesk(shell)
    await desk.shows(/\$ ?$/)
  })
  afterEach(() => desk.stop())

  it('shows each line once, its output, and prompts', async () => {
    desk.type('echo on')
    desk.type('\x01\x1bf\x05e $((40+2))\r')
    await desk.shows(/one 42\n\$$/)
    expect(desk.text).toBe('$ echo one $((40+2))\none 42\n$')
  })

  it('refuses a line, and the next one works', async () => {
    desk.type('rm -rf ~\r')
    desk.type('pwd >/dev/null && echo ok\r')
    await desk.shows(/\nok\n\$$/)
    expect(desk.text).toBe('$ rm -rf ~\nsallyport: refused: no\n$ pwd >/dev/null && echo ok\nok\n$')
  })

  it('interrupts what runs, ends input, and feeds lines to a program that reads', async () => {
    desk.type('sleep 60\r')
    await new Promise((resolve) => setTimeout(resolve, 150))
    desk.type('\x03')
    await desk.shows(/\^C\n+\$$/)
    desk.type('cat\r')
    await new Promise((resolve) => setTimeout(resolve, 150))
    desk.type('hello\r')
    await desk.shows(/cat\n+hello\nhello$/)
    desk.type('\x04')
    await desk.shows(/hello\nhello\n\$$/)
    expect(desk.lines).toEqual(['sleep 60', 'cat', 'hello'])
  })

  it('runs a command of several lines as one', async () => {
    desk.type('echo "a\r')
    desk.type('b"\r')
    await desk.shows(/\n(> )?a\nb\n\$$/)
    expect(desk.lines).toEqual(['echo "a\nb"'])
  })

  it('refuses a program that takes the screen', async () => {
    desk.type("printf '\\033[?1049h'; sleep 30; printf '\\033[?1049l'\r")
    await desk.shows(/refused: programs that read single keys/)
    await expect.poll(() => desk.guard.isRefusingProgram, { timeout: 5_000 }).toBe(true)
    expect(desk.events).toContain('rawProgram')
  })

  it('takes wide characters', async () => {
    desk.type('echo 漢字é')
    desk.type('\x1b[D\x1b[Dx\r')
    await desk.shows(/\n漢x字é\n\$$/)
  })
})
