import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { SshWriter } from '../../../src/core/index.js'
import { pinnedHostKeys } from '../../../src/credentials/ssh/index.js'
import { packs, type Rule } from '../../../src/policy/index.js'
import { ALLOW_ALL, startSshGateway, type TestSshGateway } from '../../support/ssh-gateway.js'
import { message, ptyRequest, sshText, SshWire, startWireServer } from '../../support/ssh-wire.js'
import { type SshWorld, startSshWorld, until } from './ssh-support.js'

/** Everything that can be understood may run in a guarded shell, but `touch`, what nobody sees, and what the baseline refuses. */
const RULES: Rule[] = [
  { id: 'shells', effect: 'allow', match: { kinds: ['terminal', 'shell', 'ssh-request'] } },
  { id: 'no-touch', effect: 'deny', match: { kinds: 'shell', programs: 'touch' }, message: 'nothing is made here' },
  { id: 'no-unseen', effect: 'deny', match: { hazards: 'unseen-code' }, message: 'nobody sees what this runs' },
  ...packs.shellBaseline,
  ...packs.sshBaseline,
]
/** Nothing may run but these. */
const LIST: Rule[] = [
  { id: 'shells', effect: 'allow', match: { kinds: ['terminal', 'ssh-request'] } },
  { id: 'few', effect: 'allow', match: { programs: ['echo', 'printf', 'true', 'sleep'] } },
]

let world: SshWorld
let listed: TestSshGateway
let markers = 0

beforeAll(async () => {
  world = await startSshWorld({ rules: RULES })
  listed = await startSshGateway({ server: world.server, rules: LIST })
})

afterAll(async () => {
  await listed?.stop()
  await world?.stop()
})

beforeEach(() => {
  world.judged.length = 0
})

const marker = (): string => join(world.server.home, `m${++markers}`)
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** A terminal that types what it is told, whatever that is. */
class Terminal {
  readonly wire: SshWire
  #id = 0
  #isReading = true

  private constructor(wire: SshWire) {
    this.wire = wire
  }

  static async open(gateway: TestSshGateway = world.gateway): Promise<Terminal> {
    const terminal = new Terminal(await SshWire.login(gateway.port, gateway.keyFile))
    const { wire } = terminal
    terminal.#id = await wire.openSession()
    wire.send(
      message.request(terminal.#id, 'pty-req', true, ptyRequest()),
      message.request(terminal.#id, 'shell', true),
    )
    await wire.until(99, 100)
    await wire.until(99, 100)
    void terminal.#read()
    return terminal
  }

  async #read(): Promise<void> {
    while (this.#isReading && (await this.wire.next(120_000).catch(() => undefined)) !== undefined);
  }

  get text(): string {
    return this.wire.output().toString()
  }

  type(bytes: string | Buffer): void {
    this.wire.send(message.data(this.#id, bytes))
  }

  resize(columns: number): void {
    this.wire.send(
      message.request(this.#id, 'window-change', false, new SshWriter().u32(columns).u32(9).u32(0).u32(0).take()),
    )
  }

  request(name: string, data: Buffer): void {
    this.wire.send(message.request(this.#id, name, false, data))
  }

  endInput(): void {
    this.wire.send(message.eof(this.#id))
  }

  shows(text: string | RegExp): Promise<void> {
    return until(
      () => (typeof text === 'string' ? this.text.includes(text) : text.test(this.text)),
      `\`${text}\` in ${JSON.stringify(this.text.slice(-400))}`,
    )
  }

  close(): void {
    this.#isReading = false
    this.wire.close()
  }
}

/** What is typed, with a moment between. A number resizes the window. */
type Steps = readonly (string | Buffer | number)[]

async function play(terminal: Terminal, steps: Steps, pauseMs = 70): Promise<void> {
  await terminal.shows(/[$#] /)
  for (const step of steps) {
    if (typeof step === 'number') terminal.resize(step)
    else terminal.type(step)
    await pause(pauseMs)
  }
}

describe('a guarded terminal', () => {
  it('runs what is permitted: the tricks below fail for no other reason', async () => {
    const all = await startSshGateway({ server: world.server, rules: [ALLOW_ALL] })
    const file = marker()
    const terminal = await Terminal.open(all)
    await play(terminal, [`touch ${file}\r`, 'echo $((40+2)) done\r'])
    await terminal.shows('42 done')
    expect(existsSync(file)).toBe(true)
    terminal.close()
    await all.stop()
  })

  const UP = '\x1b[A'
  const HOME = '\x01'
  const DELETE = '\x1b[3~'
  const b64 = (text: string): string => Buffer.from(text).toString('base64')

  /** By name: what is typed to run `touch <m>` without being seen. */
  const TRICKS: [string, (m: string) => Steps][] = [
    ['the line itself', (m) => [`touch ${m}\r`]],
    ['history, edited', (m) => [`echo touch ${m}\r`, UP, HOME, DELETE.repeat(5), '\r']],
    [
      'history, edited with application keys',
      (m) => [`echo touch ${m}\r`, '\x1bOA', '\x1b[1~', '\x1bd\x1bd\x1bd', `touch ${m}\r`],
    ],
    ['history, moved back to the beginning', (m) => [`echo touch ${m}\r`, '\x10\x01\x1bd\x04\r']],
    ['history expansion !!', (m) => [`echo touch ${m}\r`, '!!\r']],
    ['history expansion !$ and ^', (m) => [`echo touch ${m}\r`, '^echo^^\r', '!echo:s/echo//\r', `!:1 ${m}\r`]],
    ['fc', (m) => [`echo touch ${m}\r`, 'fc -s echo=\r', 'fc -e true -1\r', 'fc -e - echo=\r']],
    ['completion by tab', (m) => [`tou\tch ${m}\r`, '\r', `/usr/bin/tou\t${m}\r`, `/usr/bin/touc\t ${m}\r`]],
    ['completion by tab, keys by themselves', (m) => ['t', 'o', 'u', '\t', ' ', `${m}`, '\r']],
    ['completion by other keys', (m) => [`/usr/bin/touc\x1b/ ${m}\r`, `/usr/bin/touc\x1b* ${m}\r`, `touc\x1b? ${m}\r`]],
    ['Ctrl-R', (m) => [`echo touch ${m}\r`, '\x12touch', '\x01', DELETE.repeat(5), '\r']],
    ['Ctrl-R and Ctrl-O', (m) => [`echo touch ${m}\r`, '\x12echo\x0f', '\x0f', '\r']],
    ['Ctrl-C in the middle', (m) => [`echo x\x03touch ${m}\r`]],
    ['Ctrl-C between', (m) => ['echo x', '\x03', `touch ${m}\r`]],
    ['Ctrl-C that cuts a word in two', (m) => [`echo touch\x03 ; touch ${m}\r`]],
    ['Ctrl-V', (m) => [`echo \x16\x0dtouch ${m}\r`, `\x16\x03touch ${m}\r`]],
    ['Ctrl-Z, and on', (m) => ['sleep 30\r', '\x1a', `touch ${m}\r`, 'bg\r', 'fg\r', '\x03']],
    ['Ctrl-\\', (m) => ['sleep 30\r', '\x1c', `touch ${m}\r`]],
    ['Ctrl-D in a line', (m) => [`\x04touch ${m}\r`.slice(1), 'echo a\x04b\r']],
    ['Ctrl-X Ctrl-E', (m) => [`touch ${m}`, '\x18\x05', '\r']],
    ['the last argument, yanked', (m) => [`echo touch\r`, `\x1b. ${m}\r`, `\x1b_ ${m}\r`]],
    ['words killed and yanked', (m) => [`touch ${m}`, '\x15', 'echo ', '\x15', '\x19\r']],
    ['transposed letters', (m) => [`tuoch ${m}${'\x02'.repeat(m.length + 4)}\x14\r`]],
    ['expansion in the line (Alt-Ctrl-E)', (m) => [`$(echo touch) ${m}\x1b\x05\r`]],
    [
      'backspaces over another line',
      (m) => [`echo ${'\x7f'.repeat(5)}touch ${m}\r`, `echo${'\b'.repeat(4)}touch ${m}\r`],
    ],
    ['bracketed paste of lines', (m) => [`\x1b[200~echo a\ntouch ${m}\n\x1b[201~\r`]],
    ['bracketed paste of lines with CR', (m) => [`\x1b[200~echo a\rtouch ${m}\r\x1b[201~`]],
    ['bracketed paste that ends inside', (m) => [`\x1b[200~echo \x1b[201~\rtouch ${m}\r\x1b[201~`]],
    ['bracketed paste that never ends', (m) => [`\x1b[200~touch ${m}\r`, '\r', '\r']],
    ['bracketed paste cut in two', (m) => ['\x1b[20', `0~echo\ntouch ${m}\n\x1b[2`, '01~\r']],
    ['bracketed paste with keys in it', (m) => [`\x1b[200~echo x\x03touch ${m}\r\x1b[201~\r`]],
    ['a paste of many lines', (m) => [`echo a\recho b\rtouch ${m}\recho c\r`]],
    ['a paste with line feeds', (m) => [`echo a\ntouch ${m}\n`]],
    ['a paste with CRLF', (m) => [`echo a\r\ntouch ${m}\r\n`]],
    ['typed ahead while a command runs', (m) => [`sleep 0.3\rtouch ${m}\r`]],
    ['typed ahead for a command that reads', (m) => [`read x\r`, `touch ${m}\r`, '\x03']],
    ['stty -echo', (m) => ['stty -echo\r', `touch ${m}\r`, 'stty echo\r']],
    ['stty raw', (m) => ['stty raw -echo\r', `touch ${m}\r`, `touch ${m}\n`]],
    ['stty of its keys', (m) => [`stty intr x eol t\r`, `touch ${m}\r`, `stty icrnl inlcr igncr\r`, `touch ${m}\n`]],
    ['an alias', (m) => ['alias echo=touch\r', `echo ${m}\r`]],
    ['an alias by shopt', (m) => ["shopt -s expand_aliases; alias echo='touch'\r", `echo ${m}\r`]],
    ['an alias that takes the next line', (m) => [`alias echo='echo; touch '\r`, `echo ${m}\r`]],
    ['a function', (m) => ['echo() { touch "$@"; }\r', `echo ${m}\r`]],
    [
      'a function of a word not known',
      (m) => ['echo() { "$@"; }\r', `echo tou""ch ${m}\r`, 'function printf { $*; }\r', `printf touch ${m}\r`],
    ],
    [
      'a command that is not found',
      (m) => ['command_not_found_handle() { shift; tou\\ch $*; }\r', `nothing-of-it ${m}\r`],
    ],
    ['PATH', (m) => ['cp /usr/bin/touch ./echo2\r', 'PATH=.:$PATH\r', `echo2 ${m}\r`]],
    ['hash -p', (m) => ['hash -p /usr/bin/touch cat\r', `cat ${m}\r`]],
    ['a trap', (m) => [`trap 'touch ${m}' DEBUG\r`, 'echo a\r', `trap "tou''ch ${m}" EXIT\r`, 'exit\r']],
    ['PROMPT_COMMAND', (m) => [`PROMPT_COMMAND="touch ${m}"\r`, 'echo a\r']],
    ['PS1 and PS4', (m) => [`PS1='$(touch ${m})'\r`, '\r', `PS4='$(touch ${m})'; set -x\r`, 'echo\r']],
    ['BASH_ENV', (m) => [`echo "touch ${m}" > env-${m.slice(-3)}\r`, `BASH_ENV=./env-${m.slice(-3)} bash -c true\r`]],
    ['a nameref', (m) => ['declare -n x=PROMPT_COMMAND\r', `x="touch ${m}"\r`, 'echo\r']],
    [
      'enable, bind and complete',
      (m) => [`bind -x '"z": touch ${m}'\r`, 'z\r', `complete -C 'touch ${m}' echo\r`, 'echo \t\r'],
    ],
    ['eval', (m) => [`eval "tou""ch ${m}"\r`, `eval touch ${m}\r`]],
    ['$(...)', (m) => [`echo $(touch ${m})\r`]],
    ['`...`', (m) => [`echo \`touch ${m}\`\r`]],
    ['"$(...)"', (m) => [`echo "a $(touch ${m}) b"\r`]],
    ['<(...) and >(...)', (m) => [`cat <(touch ${m})\r`, `echo > >(touch ${m})\r`]],
    ['${x:-$(...)}', (m) => ['unset x\r', `echo ${'$'}{x:-$(touch ${m})}\r`]],
    ['$((a[...]))', (m) => [`echo $((a[$(touch ${m})]))\r`, `echo $(( $(touch ${m}) ))\r`]],
    [
      '[[ -v ]] and friends',
      (m) => [`[[ -v 'a[$(touch ${m})]' ]]\r`, `test -v 'a[$(touch ${m})]'\r`, `printf -v 'a[$(touch ${m})]' x\r`],
    ],
    [
      'let, read and unset of subscripts',
      (m) => [`let 'a[$(touch ${m})]=1'\r`, `read 'a[$(touch ${m})]' <<< x\r`, `unset 'a[$(touch ${m})]'\r`],
    ],
    [
      'arithmetic by a variable',
      (m) => [`x='a[$(touch ${m})]'\r`, 'echo $((x))\r', '[[ $x -eq 1 ]]\r', 'declare -i y=x\r'],
    ],
    ['${x@P}', (m) => [`x='$(touch ${m})'\r`, 'echo ${x@P}\r']],
    ['a here-document that is expanded', (m) => ['cat <<X\r', `$(touch ${m})\r`, 'X\r']],
    ['a here-document for a shell', (m) => ['sh <<X\r', `touch ${m}\r`, 'X\r', '\x03']],
    ['a here-document whose end is not its end', (m) => [`cat <<'X Y'\r`, 'X\r', 'X Y\r', `touch ${m}\r`]],
    ['a here-document with tabs', (m) => ['cat <<-X\r', '\tX\r', `touch ${m}\r`, '\x03']],
    ['a here-string', (m) => [`sh <<< 'touch ${m}'\r`, `cat <<< "$(touch ${m})"\r`]],
    ['base64 | sh', (m) => [`echo ${b64(`touch ${m}`)} | base64 -d | sh\r`]],
    [
      'base64 in a substitution',
      (m) => [`$(echo ${b64(`touch ${m}`)} | base64 -d)\r`, `eval "$(base64 -d <<< ${b64(`touch ${m}`)})"\r`],
    ],
    [
      'xxd, printf and rev to sh',
      (m) => [`printf '\\x74ouch ${m}' | sh\r`, `echo '${[...`touch ${m}`].reverse().join('')}' | rev | bash\r`],
    ],
    [
      'a script',
      (m) => [
        `echo "touch ${m}" > s${m.slice(-3)}\r`,
        `sh s${m.slice(-3)}\r`,
        `. ./s${m.slice(-3)}\r`,
        `bash < s${m.slice(-3)}\r`,
        `chmod +x s${m.slice(-3)}; ./s${m.slice(-3)}\r`,
      ],
    ],
    ['a script by cat', (m) => [`cat > c${m.slice(-3)}\r`, `touch ${m}\r`, '\x04', `source c${m.slice(-3)}\r`]],
    [
      'make, awk, sed, find and xargs',
      (m) => [
        `awk 'BEGIN{system("touch ${m}")}'\r`,
        `sed -n '1e touch ${m}' /etc/passwd\r`,
        `find /tmp -maxdepth 0 -exec touch ${m} \\;\r`,
        `echo ${m} | xargs touch\r`,
      ],
    ],
    [
      'python',
      (m) => [
        'python3\r',
        `import os; os.mknod("${m}")\r`,
        `open("${m}","w")\r`,
        `__import__("os").mknod("${m}")\r`,
        '\x04',
      ],
    ],
    ['python by an argument', (m) => [`python3 -c 'open("${m}","w")'\r`, `perl -e 'open F,">${m}"'\r`]],
    [
      'another shell in this one',
      (m) => ['sh\r', `touch ${m}\r`, 'bash\r', `echo() { touch $1; }\r`, `echo ${m}\r`, 'exec sh\r', `touch ${m}\r`],
    ],
    ['vim :!', (m) => ['vim\r', `:!touch ${m}\r`, `\x1b:!touch ${m}\r`, 'vi\r', `:!touch ${m}\r`]],
    ['less !', (m) => ['less /etc/passwd\r', `!touch ${m}\r`, 'q', 'more /etc/passwd\r', `!touch ${m}\r`, 'q']],
    [
      'man and git with a pager',
      (m) => ['PAGER=less man ls\r', `!touch ${m}\r`, 'q', `git -c core.pager="touch ${m}" -p log\r`],
    ],
    [
      'ed, ex and awk that read',
      (m) => ['ed\r', `!touch ${m}\r`, 'q\r', 'awk "{system(\\$0)}"\r', `touch ${m}\r`, '\x03'],
    ],
    ['screen', (m) => ['screen\r', `touch ${m}\r`, `screen -d -m touch ${m}\r`]],
    ['tmux', (m) => ['tmux\r', `touch ${m}\r`, `tmux new -d 'touch ${m}'\r`]],
    ['script', (m) => [`script -qc "touch ${m}" /dev/null\r`, 'script /dev/null\r', `touch ${m}\r`]],
    [
      'su, sudo and ssh',
      (m) => [`su -c 'touch ${m}'\r`, `sudo touch ${m}\r`, `ssh -o BatchMode=yes localhost touch ${m}\r`],
    ],
    ['the alternate screen', (m) => ["printf '\\033[?1049h'\r", `touch ${m}\r`]],
    ['the alternate screen, later', (m) => ["sleep 0.2; printf '\\033[?1049h'\r", `touch ${m}\r`, `touch ${m}\r`]],
    [
      'the alternate screen, cut and on again',
      (m) => [
        "printf '\\033[?10'; sleep 0.1; printf '49h\\033[?1049l\\033[?1047h'\r",
        `touch ${m}\r`,
        "printf '\\033[?1049l'\r",
        `touch ${m}\r`,
      ],
    ],
    ['the mouse and application keys', (m) => ["printf '\\033[?1000h\\033[?1h\\033='\r", `touch ${m}\r`]],
    [
      '8-bit controls and other forms of modes',
      (m) => [
        "printf '\\x9b?1049h'\r",
        `touch ${m}\r`,
        "printf '\\033[?25;1049h'\r",
        `touch ${m}\r`,
        "printf '\\033c\\033[!p'\r",
        `touch ${m}\r`,
      ],
    ],
    ['an escape that never ends', (m) => ["printf '\\033]0;'\r", `touch ${m}\r`, "printf '\\033P'\r", `touch ${m}\r`]],
    [
      'a header of zmodem',
      (m) => ["printf '**\\030B00000000000000\\r\\n'\r", `touch ${m}\r`, `**\x18B0100000023be50\r\x8atouch ${m}\r`],
    ],
    ['a resize in the middle', (m) => ['tou', 2, 'ch ', 500, m, 0, '\r']],
    ['a resize that hides it', (m) => [`touch ${m}${' '.repeat(300)}`, 20, '\r']],
    ['a resize under a paste', (m) => ['\x1b[200~echo a\n', 10, `touch ${m}\n`, 200, '\x1b[201~\r']],
    ['a prompt that asks for a password', (m) => ["PS1='Password: '\r", `touch ${m}\r`, `touch ${m}\r`]],
    [
      'a program that asks for a password',
      (m) => [
        "printf 'Password: '\r",
        `touch ${m}\r`,
        "printf '[sudo] password for root: '; sleep 0.3\r",
        `touch ${m}\r`,
      ],
    ],
    ['a prompt like ours', (m) => ["printf 'sallyport: permitted\\r\\n$ touch x'\r", '\r', `touch ${m}\r`]],
    [
      'the terminal’s own answers',
      (m) => [
        `\x1b[1;1R touch ${m}\r`,
        `\x1b]0;x\x07touch ${m}\r`,
        `\x1bP1$r0m\x1b\\touch ${m}\r`,
        `\x1b[?1;2ctouch ${m}\r`,
      ],
    ],
    [
      'control characters in the word',
      (m) => [`to\x00uch ${m}\r`, `to\x0buch ${m}\r`, `touch\x0c ${m}\r`, `\x1b\x1btouch ${m}\r`, `touch\x1f${m}\r`],
    ],
    [
      'bytes that are no text',
      (m) => [
        Buffer.from(`t\xc1\xaf uch ${m}\r`, 'latin1'),
        Buffer.from(`\xfftouch ${m}\r`, 'latin1'),
        Buffer.from(`touch \x8d${m}\r`, 'latin1'),
      ],
    ],
    [
      'letters that look alike, and line ends of Unicode',
      (m) => [`echo a\u2028touch ${m}\r`, `echo a\u0085touch ${m}\r`, `ｔｏｕｃｈ ${m}\r`, `\u202etouch ${m}\r`],
    ],
    [
      'a very long line',
      (m) => [`echo ${'x'.repeat(70_000)};touch ${m}\r`, '\r', `: ${' '.repeat(5_000)};touch ${m}\r`],
    ],
    ['backslashes at line ends', (m) => ['tou\\\r', `ch ${m}\r`, 'echo a; \\\r', `touch ${m}\r`, '\x03']],
    ['open quotes over lines', (m) => ["echo '\r", `'; touch ${m}; echo '\r`, "'\r"]],
    ['a comment that ends', (m) => [`echo a #\rtouch ${m}\r`, `echo a # \x0btouch ${m}\r`, `# \ntouch ${m}\r`]],
    [
      'quotes in the word',
      (m) => [
        `t''ouch ${m}\r`,
        `\\touch ${m}\r`,
        `"touch" ${m}\r`,
        `$'\\x74ouch' ${m}\r`,
        `$"touch" ${m}\r`,
        `to\\uch ${m}\r`,
      ],
    ],
    [
      'patterns and braces',
      (m) => [`/usr/bin/tou?h ${m}\r`, `/*/bin/touc[h] ${m}\r`, `{touch,${m}}\r`, `tou{c,}h ${m}\r`],
    ],
    [
      'variables in the word',
      (m) => [`X=touch; $X ${m}\r`, `"\${X:=touch}" ${m}\r`, `a=tou b=ch; $a$b ${m}\r`, `\${0/*/touch} ${m}\r`],
    ],
    [
      'wrappers',
      (m) => [
        `command touch ${m}\r`,
        `env touch ${m}\r`,
        `nohup touch ${m}\r`,
        `nice touch ${m}\r`,
        `timeout 1 touch ${m}\r`,
        `setsid touch ${m}\r`,
        `busybox touch ${m}\r`,
        `builtin command touch ${m}\r`,
        `time touch ${m}\r`,
        `exec touch ${m}\r`,
      ],
    ],
    [
      'control flow',
      (m) => [
        `if true; then touch ${m}; fi\r`,
        `{ touch ${m}; }\r`,
        `(touch ${m})\r`,
        `touch ${m} &\r`,
        `true && touch ${m}\r`,
        `! touch ${m}\r`,
        `case x in x) touch ${m};; esac\r`,
        `for i in 1; do touch ${m}; done\r`,
        `coproc touch ${m}\r`,
        `while touch ${m}; do break; done\r`,
      ],
    ],
    [
      'control flow over lines',
      (m) => ['if true\r', 'then\r', `touch ${m}\r`, 'fi\r', 'for f in a\r', `do touch ${m}\r`, 'done\r'],
    ],
    [
      'descriptors',
      (m) => [
        `exec 9> >(sh)\r`,
        `echo "touch ${m}" >&9\r`,
        `echo "touch ${m}" > /dev/fd/9\r`,
        `coproc sh; echo "touch ${m}" >&\${COPROC[1]}\r`,
      ],
    ],
    [
      'a terminal written to',
      (m) => [`echo "touch ${m}" > /dev/tty\r`, `echo "touch ${m}" > $(tty)\r`, `printf '\\033[5n' > /dev/tty\r`],
    ],
    [
      'what runs later',
      (m) => [
        `(sleep 0.1; touch ${m}) &\r`,
        `echo "touch ${m}" | at now\r`,
        `echo '* * * * * touch ${m}' | crontab -\r`,
      ],
    ],
  ]

  it.each(TRICKS)('TTY-1 runs nothing that was not judged by %s', async (_name, steps) => {
    const file = marker()
    const terminal = await Terminal.open()
    await play(terminal, steps(file))
    await pause(150)
    expect(existsSync(file)).toBe(false)
    terminal.close()
  })

  it.each(TRICKS)('TTY-1 with a list of what may run, runs nothing else by %s', async (_name, steps) => {
    const file = marker()
    const terminal = await Terminal.open(listed)
    await play(terminal, steps(file), 30)
    await pause(100)
    expect(existsSync(file)).toBe(false)
    terminal.close()
  })

  it('TTY-1 the target gets the lines that were permitted and single control keys, and no other byte', async () => {
    let received = ''
    const target = await startWireServer(async (peer) => {
      const open = await peer.until(90)
      const client = open.readUInt32BE(5 + open.readUInt32BE(1))
      peer.send(message.opened(client, 0, 0x7fff_ffff))
      for (let asked = await peer.next(60_000); asked !== undefined; asked = await peer.next(60_000)) {
        if (asked[0] === 98) peer.send(message.success(client))
        if (asked.includes('guarded') || asked.includes('bash')) peer.send(message.data(client, '$ '))
        if (asked[0] !== 94) continue
        const bytes = asked.subarray(9).toString('latin1')
        received += bytes
        if (/[\r\x03]/.test(bytes)) peer.send(message.data(client, '\r\n$ '))
      }
    })
    const gateway = await startSshGateway({
      server: { ...world.server, port: target.port },
      hostKeys: pinnedHostKeys([target.hostKeyLine]),
      rules: RULES,
    })
    const permitted: string[] = []
    gateway.gateway.events.on('judged', (_info, command, { permitted: isPermitted }) => {
      if (isPermitted && command.kind === 'shell') permitted.push(command.text)
    })
    let lines = 0
    for (const [name, steps] of TRICKS) {
      received = ''
      permitted.length = 0
      const terminal = await Terminal.open(gateway)
      await play(terminal, steps('/tmp/m'), 15)
      await pause(40)
      const unjudged = permitted.reduce((rest, text) => {
        const sent = Buffer.from(`${text.replaceAll('\n', '\r')}\r`).toString('latin1')
        const at = rest.indexOf(sent)
        return at < 0 ? `${rest}[${text} is missing]` : rest.slice(0, at) + rest.slice(at + sent.length)
      }, received)
      lines += permitted.length
      expect([name, unjudged.replaceAll(/[\x03\x04\x1a\x1c\r]/g, '')]).toEqual([name, ''])
      terminal.close()
    }
    expect(lines).toBeGreaterThan(50)
    await gateway.stop()
    target.stop()
  }, 180_000)

  it('TTY-1 each key by itself makes no difference to what is judged', async () => {
    const terminal = await Terminal.open()
    const file = marker()
    await terminal.shows(/[$#] /)
    for (const key of `echo a\x7f\x1b[Db; touch ${file}\r\x1b[200~touch ${file}\r\x1b[201~\r`) terminal.type(key)
    await pause(300)
    expect(existsSync(file)).toBe(false)
    expect(world.judged.some(({ text, isPermitted }) => text.includes('touch') && !isPermitted)).toBe(true)
    terminal.close()
  })

  it('TTY-1 a line without its Enter, signals and breaks reach no shell', async () => {
    const file = marker()
    const terminal = await Terminal.open()
    await play(terminal, [`touch ${file}`])
    terminal.request('signal', sshText('INT'))
    terminal.request('break', new SshWriter().u32(1).take())
    terminal.endInput()
    await pause(300)
    expect(existsSync(file)).toBe(false)
    terminal.close()
  })

  it('TTY-1 what waits for an approval is not overtaken, and Ctrl-C takes it back', async () => {
    const holding = await startSshGateway({
      server: world.server,
      rules: [ALLOW_ALL, { id: 'ask', effect: 'hold', match: { programs: 'touch' } }],
    })
    const [held, ahead] = [marker(), marker()]
    const terminal = await Terminal.open(holding)
    await play(terminal, [`touch ${held}\r`, `echo x > ${ahead}\r`])
    await until(() => holding.broker.list().length === 1)
    await pause(150)
    expect([existsSync(held), existsSync(ahead)]).toEqual([false, false])
    terminal.type('\x03')
    await until(() => holding.broker.list().length === 0)
    await pause(150)
    expect([existsSync(held), existsSync(ahead)]).toEqual([false, false])
    terminal.close()
    await holding.stop()
  })

  it('TTY-1 programs that take the whole terminal are ended, and get no key', async () => {
    const file = marker()
    const script = join(world.server.home, 'takes-keys')
    writeFileSync(script, `#!/bin/sh\nprintf '\\033[?1049h'; head -c 1 > /dev/null && /usr/bin/touch ${file}\n`, {
      mode: 0o755,
    })
    const all = await startSshGateway({ server: world.server, rules: [ALLOW_ALL] })
    const terminal = await Terminal.open(all)
    await play(terminal, [`${script}\r`, 'keys\r', 'more\r'])
    await terminal.shows('may not run in a guarded terminal')
    await pause(300)
    expect(existsSync(file)).toBe(false)
    terminal.close()
    await all.stop()
  })
})

describe('where shells are denied', () => {
  const DENY: Rule[] = [
    { id: 'commands', effect: 'allow', match: { kinds: ['shell', 'ssh-request'] } },
    { id: 'no-touch', effect: 'deny', match: { kinds: 'shell', programs: 'touch' } },
    { id: 'no-unseen', effect: 'deny', match: { hazards: 'unseen-code' } },
    ...packs.shellBaseline,
  ]

  it('TTY-1 there is no shell, with a terminal or without, and what is typed goes nowhere', async () => {
    const denying = await startSshGateway({ server: world.server, rules: DENY })
    for (const hasTerminal of [true, false]) {
      const file = marker()
      const mark = world.mark()
      const wire = await SshWire.login(denying.port, denying.keyFile)
      const id = await wire.openSession()
      if (hasTerminal) wire.send(message.request(id, 'pty-req', true, ptyRequest()))
      wire.send(message.request(id, 'shell', true), message.data(id, `touch ${file}\n`), message.eof(id))
      await wire.until(97)
      expect(wire.seen.some((payload) => payload[0] === 98 && payload.readUInt32BE(payload.length - 4) === 126)).toBe(
        true,
      )
      expect(existsSync(file)).toBe(false)
      expect(world.logSince(mark)).not.toMatch(/req (shell|pty-req|exec)/)
      wire.close()
      const real = await denying.ssh([], { options: [hasTerminal ? '-tt' : '-T'], input: `touch ${file}\n` })
      expect(real.code).toBe(126)
      expect(existsSync(file)).toBe(false)
    }
    await denying.stop()
  })

  const SHELLS = [
    'bash',
    'bash -i',
    'sh',
    'sh -s',
    'dash',
    '/bin/sh',
    'exec bash',
    'env bash',
    '$SHELL',
    'su',
    'script -q /dev/null',
    'python3',
    'perl',
    'vi',
    'ed',
    'screen',
    'tmux',
    'busybox sh',
    'awk "{system(\\$0)}"',
    'xargs -I{} sh -c {}',
    'cat | sh',
    'sh < /dev/stdin',
    'sh /dev/stdin',
    '. /dev/stdin',
    'source /proc/self/fd/0',
    'ssh localhost',
    'while read -r l; do eval "$l"; done',
    'while read -r l; do $l; done',
    'read l; $l',
    'xargs -0 touch',
    'sqlite3',
    'ftp',
    'gdb',
  ]
  it('TTY-1 a command that is a shell, or reads commands, is none either', async () => {
    const denying = await startSshGateway({ server: world.server, rules: DENY })
    const through: string[] = []
    for (const command of SHELLS) {
      const file = marker()
      const wire = await SshWire.login(denying.port, denying.keyFile)
      const id = await wire.openSession()
      wire.send(
        message.request(id, 'pty-req', true, ptyRequest()),
        message.request(id, 'exec', true, sshText(command)),
        message.data(id, `touch ${file}\n.shell touch ${file}\n!touch ${file}\n:!touch ${file}\n\x04`),
        message.eof(id),
      )
      const exit = await wire.until(98).catch(() => undefined)
      if (exit?.readUInt32BE(exit.length - 4) !== 126 || existsSync(file)) through.push(command)
      wire.close()
    }
    expect(through).toEqual([])
    await denying.stop()
  })
})
