import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Denial } from '../../../core/index.js'
import { createGuardedTerminal, type GuardedTerminal, type GuardedTerminalOptions } from './index.js'
import { Screen } from './screen.test-support.js'

const DENIAL: Denial = { reason: 'rule', message: 'not here', ruleId: 'no' }

/** A guarded terminal with a target that prints a prompt after each line, and a client with a screen. */
class Desk {
  readonly screen: Screen
  readonly guard: GuardedTerminal
  readonly lines: string[] = []
  readonly permitted: string[] = []
  readonly events: string[] = []
  upstream = ''
  shown = ''
  decide: (text: string) => 'permit' | 'refuse' | 'wait' | 'permitRaw' = () => 'permit'
  prompts = true

  constructor(options: GuardedTerminalOptions = {}) {
    this.screen = new Screen(options.columns ?? 80)
    this.guard = createGuardedTerminal(options)
    this.output('$ ')
  }

  type(...texts: (string | Buffer)[]): this {
    for (const text of texts) {
      this.guard.receive(Buffer.from(text as string))
      this.drain()
    }
    return this
  }

  output(text: string): this {
    this.guard.output(Buffer.from(text))
    this.drain()
    return this
  }

  drain(): void {
    for (let event = this.guard.next(); event !== undefined; event = this.guard.next()) {
      if (event.type === 'toClient') {
        this.screen.write(event.bytes)
        this.shown += Buffer.from(event.bytes).toString()
      } else if (event.type === 'toUpstream') {
        const sent = Buffer.from(event.bytes).toString()
        this.upstream += sent
        if (this.prompts && sent.endsWith('\r')) this.guard.output(Buffer.from('$ '))
        if (this.prompts && sent === '\x03') this.guard.output(Buffer.from('\r\n$ '))
      } else if (event.type === 'line') {
        this.lines.push(event.text)
        const verdict = this.decide(event.text)
        if (verdict === 'refuse') this.guard.refuse(event.lineId, DENIAL)
        else if (verdict !== 'wait') {
          this.permitted.push(event.text)
          this.guard.permit(event.lineId, verdict === 'permitRaw' ? { allowsRawTerminal: true } : {})
        }
      } else {
        this.events.push(
          event.type === 'refused'
            ? `refused ${event.denial.reason}`
            : event.type === 'rawProgram'
              ? `rawProgram ${event.isAllowed}`
              : event.type === 'secretLine'
                ? `secretLine ${event.isSent} ${event.byteLength}`
                : event.type,
        )
      }
    }
  }
}

const LEFT = '\x1b[D'
const KEYS: readonly [string, string, string][] = [
  ['plain letters', 'ls -l', 'ls -l'],
  ['backspace', 'lsx\x7f -l', 'ls -l'],
  ['Ctrl-H', 'lsx\b', 'ls'],
  ['Ctrl-A and Ctrl-E', 's\x01l\x05 -l', 'ls -l'],
  ['Ctrl-B and Ctrl-F', 'ls\x02\x02A\x06B', 'AlBs'],
  ['arrows', `ac${LEFT}b\x1b[C!`, 'abc!'],
  ['arrows of application mode', 'ac\x1bODb\x1bOCd', 'abcd'],
  ['Home, End', 'b\x1b[Ha\x1b[Fc', 'abc'],
  ['Home, End by number', 'b\x1b[1~a\x1b[4~c', 'abc'],
  ['Delete', `abx${LEFT}\x1b[3~c`, 'abc'],
  ['Ctrl-D inside a line', `abx${LEFT}\x04c`, 'abc'],
  ['Ctrl-K', `abcd${LEFT}${LEFT}\x0b`, 'ab'],
  ['Ctrl-U', `abcd${LEFT}${LEFT}\x15`, 'cd'],
  ['Ctrl-W and Ctrl-Y', 'one two\x17three \x19', 'one three two'],
  ['Alt-B, Alt-D', 'one two\x1bb\x1bdsix', 'one six'],
  ['Alt-F', 'one two\x01\x1bf!', 'one! two'],
  ['Alt-Backspace', 'a/b-c\x1b\x7fd', 'a/b-d'],
  ['Ctrl-arrows', 'one two\x1b[1;5DX', 'one Xtwo'],
  ['Ctrl-T', 'ab\x14', 'ba'],
  ['Tab does nothing', 'ec\tho', 'echo'],
  ['unknown sequences', 'a\x1b[99;99X\x1bQ\x1b[15~b', 'ab'],
  ['reports of a terminal', 'a\x1b]11;rgb:0/0/0\x07\x1bP1$r0m\x1b\\\x1b[?1;2c\x1b[5;5Rb', 'ab'],
  ['other alphabets', 'echo é漢字👍🏽', 'echo é漢字👍🏽'],
  ['combining marks go with their letter', 'ae\u0301\x7fb', 'ab'],
  ['wide characters', `漢字${LEFT}x`, '漢x字'],
]

describe('keys of a guarded terminal', () => {
  it.each(KEYS)('%s', (name, keys, text) => {
    const desk = new Desk({ allowsHistoryExpansion: true }).type(`${keys}\r`)
    expect(desk.lines, name).toEqual([text])
    expect(desk.upstream).toBe(`${text}\r`)
    expect(desk.screen.lines().slice(0, 2)).toEqual([`$ ${text}`.replace('\u0301', ''), '$'])
  })

  it.each(KEYS)('%s, byte by byte', (_name, keys, text) => {
    const desk = new Desk({ allowsHistoryExpansion: true })
    for (const byte of Buffer.from(`${keys}\r`)) desk.type(Buffer.of(byte))
    expect(desk.upstream).toBe(`${text}\r`)
  })

  it('arrows bring back older lines, and the draft', () => {
    const desk = new Desk().type('one\r', 'two\r', ' hidden\r', 'dra')
    desk.type('\x1b[A')
    expect(desk.screen.lines().at(-1)).toBe('$ two')
    desk.type('\x1b[A', '\x1b[A')
    expect(desk.screen.lines().at(-1)).toBe('$ one')
    desk.type('\x1b[B', '\x1b[B', 'ft\r')
    expect(desk.lines).toEqual(['one', 'two', ' hidden', 'draft'])
  })

  it('Ctrl-L clears the screen and shows prompt and line again', () => {
    const desk = new Desk().type('one\r', 'tw\x0c')
    expect(desk.screen.text).toBe('$ tw')
    expect(desk.screen.cursor).toEqual({ row: 0, column: 4 })
  })

  it('draws lines of several rows, and the cursor inside them', () => {
    const desk = new Desk({ columns: 10 }).type('abcdefghijklmnopqrstuvwxyz')
    expect(desk.screen.lines()).toEqual(['$ abcdefgh', 'ijklmnopqr', 'stuvwxyz'])
    desk.type('\x01')
    expect(desk.screen.cursor).toEqual({ row: 0, column: 2 })
    desk.type('__\x05')
    expect(desk.screen.lines()).toEqual(['$ __abcdef', 'ghijklmnop', 'qrstuvwxyz', ''])
    expect(desk.screen.cursor).toEqual({ row: 3, column: 0 })
    desk.type('\x15')
    expect(desk.screen.text).toBe('$')
    desk.type('漢字漢字漢')
    expect(desk.screen.lines()).toEqual(['$ 漢字漢字', '漢'])
    desk.type('\r')
    expect(desk.screen.lines().at(-1)).toBe('$')
  })

  it('draws at random what a plain editor would hold', () => {
    const keys = [
      'a',
      'b ',
      '漢',
      'e\u0301',
      '\x7f',
      '\x01',
      '\x05',
      LEFT,
      '\x1b[C',
      '\x0b',
      '\x15',
      '\x19',
      '\x1bb',
      '\x14',
    ]
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...keys), { maxLength: 60 }),
        fc.integer({ min: 5, max: 20 }),
        (list, columns) => {
          const desk = new Desk({ columns }).type(...list)
          const drawn = desk.screen.lines().join('').replaceAll(' ', '')
          const { row, column } = desk.screen.cursor
          desk.type('\r')
          const line = desk.lines[0] ?? ''
          expect(drawn).toBe(`$${line.replaceAll(' ', '').replaceAll('\u0301', '')}`)
          expect(row * columns + column).toBeGreaterThanOrEqual(2)
        },
      ),
      { numRuns: 500 },
    )
  })
})

describe('lines of a guarded terminal', () => {
  it('refuses with a message, and shows the prompt again without asking the target', () => {
    const desk = new Desk()
    desk.decide = (text) => (text === 'rm x' ? 'refuse' : 'permit')
    desk.type('rm x\r', 'ls\r')
    expect(desk.screen.text).toBe('$ rm x\nsallyport: refused: not here (rule no)\n$ ls\n$')
    expect(desk.upstream).toBe('ls\r')
  })

  it('holds with messages; Ctrl-C withdraws, and nothing reaches the target', () => {
    const desk = new Desk()
    desk.decide = () => 'wait'
    desk.type('reboot\r')
    desk.guard.inform(1, 'waiting for approval')
    desk.type('\x03')
    expect(desk.events).toEqual(['withdraw'])
    desk.type('\x03')
    expect(desk.events).toEqual(['withdraw'])
    desk.guard.refuse(1, { reason: 'withdrawn', message: 'withdrawn' })
    desk.drain()
    expect(desk.screen.text).toBe('$ reboot\nsallyport: waiting for approval\n^C\nsallyport: refused: withdrawn\n$')
    expect(desk.upstream).toBe('')
  })

  it('keeps what is typed while a line waits, and judges it afterwards', () => {
    const desk = new Desk()
    desk.decide = (text) => (text === 'one' ? 'wait' : 'permit')
    desk.type('one\r', 'tw', 'o\rthr')
    expect(desk.lines).toEqual(['one'])
    desk.guard.permit(1)
    desk.drain()
    expect(desk.lines).toEqual(['one', 'two'])
    expect(desk.upstream).toBe('one\rtwo\r')
    desk.type('ee\r')
    expect(desk.lines).toEqual(['one', 'two', 'three'])
  })

  it('discards what was typed ahead of a refusal, for it may count on what was refused', () => {
    const desk = new Desk()
    desk.decide = (text) => (text.startsWith('cd') ? 'refuse' : 'permit')
    desk.type('cd /tmp/x\rrm -rf *\r')
    expect(desk.lines).toEqual(['cd /tmp/x'])
    expect(desk.upstream).toBe('')
    desk.type('ls\r')
    expect(desk.upstream).toBe('ls\r')
  })

  it('TTY-1 judges each line of a paste, and none behind one that was refused', () => {
    const desk = new Desk()
    desk.decide = (text) => (text === 'two' ? 'refuse' : 'permit')
    desk.type('\x1b[200~one\r\ntwo\nthree\r', 'four\rfi', 've\x1b[20', '1~six\r')
    expect(desk.lines).toEqual(['one', 'two', 'six'])
    expect(desk.upstream).toBe('one\rsix\r')
  })

  it('TTY-1 a paste cannot press keys', () => {
    const desk = new Desk().type('\x1b[200~ls\x1b[A\x15\x1bb\trm\x1b[201~')
    desk.type('\r')
    expect(desk.lines).toEqual([])
    expect(desk.events).toEqual(['refused limit'])
    desk.type('\x1b[200~a\tb\x1b[201~\r')
    expect(desk.upstream).toBe('a b\r')
  })

  it('Ctrl-C gets out of a paste without end', () => {
    const desk = new Desk().type('\x1b[200~abc', '\x03', 'ls\r')
    expect(desk.upstream).toBe('\x03ls\r')
  })

  it('an empty line is a line end, signals pass, Ctrl-D only on an empty line', () => {
    const desk = new Desk().type('\r', '\x1a', '\x1c', '\x04', 'abc\x03')
    expect(desk.upstream).toBe('\r\x1a\x1c\x04\x03')
    expect(desk.lines).toEqual([])
    desk.type('ls\r')
    expect(desk.lines).toEqual(['ls'])
  })

  it('takes CR LF for one line end', () => {
    const desk = new Desk().type('a\r\nb\r', '\n', 'c\n')
    expect(desk.lines).toEqual(['a', 'b', 'c'])
  })

  it('gathers the lines of one command, and judges the whole', () => {
    const isIncomplete = (text: string) => text.endsWith('\\') || (text.match(/"/g) ?? []).length % 2 === 1
    const desk = new Desk({ isIncomplete }).type('echo "a\r', 'b\\\r')
    expect(desk.upstream).toBe('')
    expect(desk.screen.text).toBe('$ echo "a\n> b\\\n>')
    desk.type('c"\r')
    expect(desk.lines).toEqual(['echo "a\nb\\\nc"'])
    expect(desk.upstream).toBe('echo "a\rb\\\rc"\r')
    desk.type('echo "\r', '\x03', 'ls\r')
    expect(desk.lines.at(-1)).toBe('ls')
    desk.type('echo "\r', '\x04')
    expect(desk.events).toEqual(['refused unparsed'])
    desk.type('pwd\r')
    expect(desk.lines.at(-1)).toBe('pwd')
  })

  it.each(['!!', 'sudo !$', '!123', 'echo "!x"', "echo $'it\\'s' !x", '^a^b', 'a;!ls', 'echo \\!x', 'echo \'a" !x'])(
    'TTY-1 refuses `%s`, which a shell replaces by older lines',
    (line) => {
      const desk = new Desk().type(`${line}\r`)
      expect(desk.lines).toEqual([])
      expect(desk.events).toEqual(['refused unparsed'])
    },
  )

  it.each(["awk '!seen[$0]++' f", 'if ! test -e x; then y; fi', '[ a != b ]', 'find . ! -name x', 'echo hi!'])(
    'lets `%s` be judged',
    (line) => {
      expect(new Desk().type(`${line}\r`).lines).toEqual([line])
    },
  )

  it('refuses a line that a terminal would cut short, and one with bytes that are no characters', () => {
    const desk = new Desk({ maxLineBytes: 20 }).type('rm -rf /tmp/a/b/c/d/e/f\r')
    expect(desk.events).toEqual(['refused limit'])
    desk.type(Buffer.from('rm \xff\r', 'latin1'))
    expect(desk.events).toEqual(['refused limit', 'refused limit'])
    expect(desk.upstream).toBe('')
    desk.type(Buffer.from('ls \xffx\x15ls\r', 'latin1'))
    expect(desk.upstream).toBe('ls\r')
    expect(() => createGuardedTerminal({ maxLineBytes: 5_000 })).toThrow('maxLineBytes')
  })

  it('bounds what is typed ahead, and does not take the rest of it for a line', () => {
    const desk = new Desk({ maxPendingBytes: 32 })
    desk.decide = (text) => (text === 'wait' ? 'wait' : 'permit')
    desk.type('wait\r', 'a'.repeat(20))
    expect(desk.guard.wantsInput).toBe(false)
    desk.type('a'.repeat(20), 'rm x\r')
    expect(desk.events).toEqual(['refused limit'])
    desk.guard.permit(1)
    desk.drain()
    desk.type('rest\r', 'ls\r')
    expect(desk.lines).toEqual(['wait', 'ls'])
  })

  it('shows output that comes while a line is typed above it', () => {
    const desk = new Desk().type('long li')
    desk.output('\r\nnews\r\n$ ').type('ne\r')
    expect(desk.screen.text).toBe('$\nnews\n$ long line\n$')
  })

  it('draws again when the window changes', () => {
    const desk = new Desk().type('abc')
    desk.guard.resize(40)
    desk.drain()
    desk.type('d\r')
    expect(desk.screen.lines()[0]).toBe('$ abcd')
  })

  it('answers for a line that does not wait are misuse', () => {
    expect(() => new Desk().guard.permit(7)).toThrow('line 7 does not wait')
  })
})

describe('secrets on a guarded terminal', () => {
  it('TTY-1 are neither shown nor judged nor sent', () => {
    const desk = new Desk()
    desk.prompts = false
    desk.type('sudo -k true\r').output('[sudo] password for ada: ').type('hunter2', '\x01x\x05', '\x12\r')
    expect(desk.lines).toEqual(['sudo -k true'])
    expect(desk.events).toEqual(['secretLine false 8'])
    expect(desk.shown).not.toContain('hunter')
    expect(desk.upstream).toBe('sudo -k true\r')
    desk.type('\x03')
    expect(desk.upstream).toBe('sudo -k true\r\x03')
  })

  it('pass unseen where that is allowed', () => {
    const desk = new Desk({ secretLines: 'pass' })
    desk.prompts = false
    desk.type('su\r').output('Password: ').type('hunter2\r').output('\r\n# ').type('id\r')
    expect(desk.upstream).toBe('su\rhunter2\rid\r')
    expect(desk.lines).toEqual(['su', 'id'])
    expect(desk.shown).not.toContain('hunter')
  })

  it('stay hidden when the prompt goes away meanwhile, and are not sent then', () => {
    const desk = new Desk({ secretLines: 'pass' })
    desk.prompts = false
    desk.output('\r\nPassword: ').type('hunt').output('\r\ntimed out\r\n$ ').type('er2\r')
    expect(desk.upstream).toBe('')
    expect(desk.shown).not.toContain('hunt')
    desk.type('\x19\r')
    expect(desk.shown).not.toContain('hunt')
  })
})

describe('raw programs on a guarded terminal', () => {
  it.each(['\x1b[?1049h', '\x1b[?47h', '\x1b[?1h\x1b=', '\x1b[?1000h'])('are refused (%j)', (sequence) => {
    const desk = new Desk()
    desk.prompts = false
    desk.type('top\r')
    for (const byte of `hi${sequence}SCREEN`) desk.output(byte)
    expect(desk.events).toEqual(['rawProgram false', 'refused unsupported'])
    expect(desk.guard.isRefusingProgram).toBe(true)
    expect(desk.shown).not.toContain('SCREEN')
    expect(desk.shown).toContain('\x1b[?1049l')
    desk.type(':!sh\r', '\x03')
    expect(desk.upstream).toBe('top\r\x03\x03')
    desk.guard.escalate()
    desk.guard.escalate()
    desk.drain()
    expect(desk.upstream).toBe('top\r\x03\x03\x1c')
    expect(desk.events.at(-1)).toBe('hangUp')
    desk.output('\x1b[?1049l\x1b[?1l\x1b>\x1b[?1000l\r\n$ ').type('ls\r')
    expect(desk.events.at(-1)).toBe('rawProgramEnded')
    expect(desk.guard.isRefusingProgram).toBe(false)
    expect(desk.upstream).toBe('top\r\x03\x03\x1cls\r')
  })

  it('pass unseen by permit, until they leave the screen', () => {
    const desk = new Desk()
    desk.prompts = false
    desk.decide = (text) => (text === 'vim' ? 'permitRaw' : 'permit')
    desk.type('vim\r').output('\x1b[?1049h~').type('i\x1b:q\r').output('\x1b[?1049l$ ').type('ls\r')
    expect(desk.events).toEqual(['rawProgram true', 'rawProgramEnded'])
    expect(desk.lines).toEqual(['vim', 'ls'])
    expect(desk.upstream).toBe('vim\ri\x1b:q\rls\r')
    desk.output('\x1b[?1049h')
    expect(desk.events.at(-2)).toBe('rawProgram false')
  })

  it('are not sent a line that was permitted too late', () => {
    const desk = new Desk()
    desk.decide = (text) => (text === 'slow' ? 'wait' : 'permit')
    desk.type('slow\r').output('\x1b[?1049h')
    desk.guard.permit(1)
    desk.drain()
    expect(desk.upstream).toBe('\x03')
  })

  it('leave the client with a terminal in order', () => {
    const desk = new Desk({ allowsRawTerminal: true })
    desk.output('\x1b[?1049h')
    desk.guard.end()
    desk.drain()
    expect(desk.shown).toMatch(/\x1b\[\?1049l.*\x1b\[\?2004l$/)
  })
})

describe('a guarded terminal, whatever is typed at it', () => {
  it('TTY-1 sends the target nothing but permitted lines and signals', () => {
    const typed = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.constantFrom('ls', 'rm x', 'a!b', 'echo "', '漢', ' ', 'wait', '\x1b[A', '\x19', '\x7f', '\x17'),
      },
      { weight: 3, arbitrary: fc.constantFrom('\r', '\n', '\r\n', '\x03', '\x04', '\x1a', '\t') },
      { weight: 2, arbitrary: fc.constantFrom('\x1b[200~', '\x1b[201~', '\x1b', '\x1b[', '\x1bP', '\x1bO') },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 6 }).map((bytes) => Buffer.from(bytes)) },
    )
    const step = fc.oneof(
      { weight: 6, arbitrary: typed.map((text) => ({ type: 'type' as const, text })) },
      {
        weight: 2,
        arbitrary: fc
          .constantFrom(
            '$ ',
            '\r\n$ ',
            'Password: ',
            '\x1b[?1049h',
            '\x1b[?1049l',
            '\x1b[?1h',
            '\x1bc',
            'x'.repeat(90),
            '漢\xff',
          )
          .map((text) => ({ type: 'output' as const, text })),
      },
      { weight: 1, arbitrary: fc.constant({ type: 'answer' as const, text: '' }) },
      { weight: 1, arbitrary: fc.constant({ type: 'escalate' as const, text: '' }) },
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const desk = new Desk({
          columns: 20,
          maxPendingBytes: 64,
          isIncomplete: (text) => text.split('"').length % 2 === 0,
        })
        desk.decide = (text) => (text.includes('rm') ? 'refuse' : text.includes('wait') ? 'wait' : 'permit')
        for (const { type, text } of steps) {
          if (type === 'type') desk.type(text)
          else if (type === 'output') desk.output(text as string)
          else if (type === 'escalate') desk.guard.escalate()
          else if (desk.guard.waitingLineId !== undefined) {
            const wasRefusing = desk.guard.isRefusingProgram
            desk.guard.permit(desk.guard.waitingLineId)
            if (!wasRefusing) desk.permitted.push(desk.lines.at(-1) as string)
          }
          desk.drain()
        }
        // Each permitted line once and in order, and between them only line ends and signals.
        let rest = desk.upstream
        for (const line of desk.permitted) {
          const sent = `${line.replaceAll('\n', '\r')}\r`
          const at = rest.indexOf(sent)
          if (at < 0) continue
          expect(rest.slice(0, at)).toMatch(/^[\r\x03\x04\x1a\x1c]*$/)
          rest = rest.slice(at + sent.length)
        }
        expect(rest).toMatch(/^[\r\x03\x04\x1a\x1c]*$/)
        expect(desk.lines.join('')).not.toMatch(/[^\P{Cc}\n]/u)
        expect(Buffer.from(desk.upstream).toString()).not.toContain('rm')
      }),
      { numRuns: 1_500 },
    )
  })
})
