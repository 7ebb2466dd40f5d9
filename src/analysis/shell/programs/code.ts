import { type Call, type ProgramTable, program, programs, type Report } from '../program.js'
import { knownWord, type WordValue } from '../word-value.js'
import { MAX_CODE_LENGTH, codeHazards, connects, connectsTo, portOf, runsScript } from './support.js'

/** `-c code`, `-e code`, else a script, else standard input. */
function interpreter(...codeOptions: readonly string[]) {
  return (call: Call, report: Report): void => {
    if (call.has('version') && call.operands.length === 0) return
    const texts = call.values.filter(({ spec }) => codeOptions.includes(spec.name))
    for (const { word } of texts) codeHazards(word, report)
    if (texts.length > 0) {
      for (const operand of call.operands) if (operand.text.includes('/')) report.file(operand, ['read', 'write'])
      return
    }
    const module = call.value('module')
    if (module !== undefined) {
      report.hazard('unseen-code')
      if (/^(?:http\.server|SimpleHTTPServer|pyftpdlib|smtpd)$/.test(module.text)) {
        report.network({ host: undefined, port: portOf(call.operands[0]) ?? 8000, direction: 'listen' })
        report.hazard('firewall', 'exfiltration')
      }
      if (module.text === 'pip') packages(call.operands[0]?.text, call, report)
      if (!module.isKnown) report.conservative()
      return
    }
    if (call.has('serve')) report.hazard('firewall')
    runsScript(call, report, call.operands[0])
  }
}

function packages(verb: string | undefined, call: Call, report: Report): void {
  if (verb === undefined) return
  if (
    /^(?:install|i|add|ci|update|upgrade|dist-upgrade|full-upgrade|exec|x|run|run-script|start|test|dlx|create|build|localinstall|reinstall|-S|-U|-Syu|-Sy|-i|get|require|sync|bundle|publish|check)$/.test(
      verb,
    )
  ) {
    if (!/^(?:check)$/.test(verb)) report.hazard('unseen-code')
  }
  if (/^(?:remove|purge|autoremove|uninstall|erase|rm|-R|-Rs|-Rns|del)$/.test(verb)) report.hazard('service-stop')
  if (call.operands.some(({ text }) => /^(?:git\+)?https?:\/\//.test(text))) report.hazard('download-and-run')
  if (call.words.some(({ text }) => /::(?:Update|Dpkg)::(?:Pre|Post)-Invoke|APT::/.test(text)))
    report.unknown('settings that run commands')
}

function git(call: Call, report: Report): void {
  for (const { spec, word } of call.values) {
    if (spec.name !== 'c' && spec.name !== 'config-env') continue
    const equals = word.text.indexOf('=')
    const key = equals < 0 ? word.text : word.text.slice(0, equals)
    const isCommand = key.length > 256 || GIT_COMMANDS.test(key)
    if (isCommand || !word.isKnown) {
      report.hazard('unseen-code')
      report.conservative()
      const value = !isCommand || equals < 0 ? '' : word.text.slice(equals + 1).replace(/^!/, '')
      if (word.isKnown && value !== '' && !/^(?:cat|true|less|false|\d)$/.test(value))
        report.script({ ...word, text: value, shape: value }, 'git -c', { keepsCaller: true, isOpen: true })
    }
  }
  if (call.has('exec-path')) report.hazard('unseen-code')
  const [verb, ...words] = call.operands
  const name = verb?.text ?? ''
  const texts = words.map(({ text }) => text)
  const url = words.find(({ text }) => /^(?:[a-z+]+:\/\/|[\w.-]+@[\w.-]+:)|^ext::/.test(text))
  if (url !== undefined) {
    if (/^(?:ext|fd)::/.test(url.text)) report.unknown('a transport that runs commands')
    else if (url.text.includes('://')) connectsTo(report, url)
    else connects(report, knownWord(url.text.replace(/:.*$/s, '')), 22)
  } else if (/^(?:fetch|pull|push|clone|ls-remote|remote-update)$/.test(name))
    report.network({ host: undefined, direction: 'connect' })
  if (
    texts.some(
      (text) =>
        /^(?:--upload-pack|--receive-pack|-u|--exec|-x|--open-files-in-pager|-O|--extcmd|--ext-diff|--template)(?:=|$)/.test(
          text,
        ) &&
        name !== 'push' &&
        name !== 'add' &&
        name !== 'stash',
    ) ||
    texts.some((text) => /^--(?:upload|receive)-pack/.test(text))
  ) {
    report.hazard('unseen-code')
    report.conservative()
  }
  if (
    /^(?:clone|pull|submodule|bisect|rebase|hook|difftool|mergetool|filter-branch|daemon|instaweb|send-email|cvsimport|svn|lfs)$/.test(
      name,
    )
  )
    report.hazard('unseen-code')
  if (name === 'bisect' && texts[0] === 'run') report.run(words.slice(1), 'git bisect run', { keepsCaller: true })
  if (name === 'submodule' && texts.includes('foreach')) {
    const text = words.slice(texts.indexOf('foreach') + 1).filter((word) => !word.text.startsWith('--'))
    if (text[0] !== undefined)
      report.script(
        text.length === 1 ? text[0] : { ...text[0], text: texts.slice(texts.indexOf('foreach') + 1).join(' ') },
        'git submodule foreach',
        { keepsCaller: true },
      )
  }
  if (name === 'config') {
    const value = words.find((word) => word.text.startsWith('!'))
    if (
      texts.some((text) =>
        /alias\.|sshcommand|pager|editor|hookspath|fsmonitor|helper|askpass|textconv|\.cmd|command|driver/i.test(text),
      ) &&
      words.filter(({ text }) => !text.startsWith('-')).length > 1
    )
      report.hazard('persistence', 'unseen-code')
    if (value !== undefined)
      report.script({ ...value, text: value.text.slice(1), shape: value.shape.slice(1) }, 'git alias', {
        keepsCaller: true,
        isOpen: true,
      })
  }
  if (name === 'clean' && texts.some((text) => /^-\w*f/.test(text) || text === '--force'))
    report.hazard('destructive-delete')
  if (name === 'reset' && texts.includes('--hard')) report.hazard('destructive-delete')
  if (name === 'push') {
    report.hazard('exfiltration')
    if (texts.some((text) => /^(?:--force|-f|--delete|-d|--mirror|--prune|\+.+|:.+)$/.test(text)))
      report.hazard('destructive-delete')
  }
  if (
    /^(?:gc|prune|reflog|filter-repo|filter-branch)$/.test(name) &&
    texts.some((text) => /prune|expire|force|^-/.test(text))
  )
    report.hazard('destructive-delete')
  if (name === 'credential' || name === 'credential-store') report.hazard('credential-file')
  // A command of a name that git does not have may be an alias of anything.
  if (name !== '' && !GIT.test(name)) {
    report.hazard('unseen-code')
    report.conservative()
  }
  const at = texts.indexOf('--output')
  for (const word of words)
    if (word.text.startsWith('--output='))
      report.file({ ...word, text: word.text.slice(9), shape: word.shape.slice(9) }, ['write', 'create'])
  if (at >= 0 && words[at + 1] !== undefined) report.file(words[at + 1] ?? knownWord(''), ['write', 'create'])
  const directory = call.value('C')
  if (directory !== undefined) report.file(directory, ['read'])
  if (name === 'clone' && words.length > 1 && texts.at(-1) !== url?.text)
    report.file(words.at(-1) ?? knownWord('.'), ['write', 'create'], true)
}

/** Settings whose value is a command line. */
const GIT_COMMANDS =
  /alias\.|pager|sshcommand|editor|askpass|external|textconv|command|hookspath|fsmonitor|proxy|helper|driver|clean|smudge|process|program|browser|uploadpack|receivepack|cmd$/i

const GIT =
  /^(?:add|am|apply|archive|bisect|blame|branch|bundle|cat-file|check-ignore|checkout|cherry|cherry-pick|clean|clone|commit|config|count-objects|credential|describe|diff|diff-tree|difftool|fetch|filter-branch|for-each-ref|format-patch|fsck|gc|grep|help|hash-object|init|log|ls-files|ls-remote|ls-tree|maintenance|merge|merge-base|mergetool|mv|name-rev|notes|prune|pull|push|range-diff|rebase|receive-pack|reflog|remote|repack|replace|rerere|reset|restore|rev-list|rev-parse|revert|rm|shortlog|show|show-branch|show-ref|sparse-checkout|stash|status|submodule|switch|symbolic-ref|tag|update-index|update-ref|upload-archive|upload-pack|var|verify-commit|version|whatchanged|worktree|write-tree|lfs|svn|hook|daemon|instaweb|send-email|credential-store)$/

function tar(call: Call, report: Report): void {
  // The old style: letters without a dash, and their values behind them in order.
  const [first] = call.words
  let words = call.words
  if (first?.isKnown === true && /^[A-Za-z]+$/.test(first.text)) {
    const taking = [...first.text].filter((letter) => /[fCTXbgKNVILHF]/.test(letter))
    const values = words.slice(1, 1 + taking.length)
    words = [
      ...taking
        .map((letter, index) => ({ ...knownWord(`-${letter}`), value: values[index] }))
        .flatMap(({ value, ...word }) => (value === undefined ? [word] : [word, value])),
      ...[...first.text].filter((letter) => !taking.includes(letter)).map((letter) => knownWord(`-${letter}`)),
      ...words.slice(1 + taking.length),
    ]
  }
  const flags = new Set<string>()
  const operands: WordValue[] = []
  let archive: WordValue | undefined
  let directory: WordValue | undefined
  for (let index = 0; index < words.length; index++) {
    const word = words[index]
    if (word === undefined) break
    const { text } = word
    const long = /^--([a-z-]+)(?:=(.*))?$/s.exec(text)
    const value = (): WordValue | undefined =>
      long?.[2] === undefined
        ? words[++index]
        : { ...word, text: long[2], shape: word.shape.slice(word.shape.indexOf('=') + 1) }
    if (long !== null) {
      const name = long[1] ?? ''
      flags.add(name)
      if (
        /^(?:checkpoint-action|to-command|use-compress-program|rsh-command|rmt-command|info-script|new-volume-script)$/.test(
          name,
        )
      ) {
        const command = value()
        report.hazard('unseen-code')
        if (command !== undefined)
          report.script(
            { ...command, text: command.text.replace(/^exec=/, ''), shape: command.shape.replace(/^exec=/, '') },
            'tar',
            { keepsCaller: true, isOpen: true },
          )
      } else if (name === 'file') archive = value()
      else if (name === 'directory') directory = value()
      else if (/^(?:files-from|exclude-from)$/.test(name)) {
        const list = value()
        if (list !== undefined) report.file(list, ['read'])
      } else if (
        /^(?:exclude|transform|owner|group|mode|strip-components|level|format|newer|after-date|mtime|sort|label)$/.test(
          name,
        )
      )
        value()
      continue
    }
    if (!/^-./.test(text)) {
      operands.push(word)
      continue
    }
    for (let at = 1; at < text.length; at++) {
      const letter = text[at] ?? ''
      flags.add(letter)
      if (!/[fCTXbgKNVILHF]/.test(letter)) continue
      const rest = text.slice(at + 1)
      const taken = rest === '' ? words[++index] : { ...word, text: rest, shape: word.shape.slice(at + 1) }
      if (letter === 'f') archive = taken
      if (letter === 'C') directory = taken
      if ((letter === 'T' || letter === 'X') && taken !== undefined) report.file(taken, ['read'])
      if ((letter === 'I' || letter === 'F') && taken !== undefined) {
        report.hazard('unseen-code')
        report.script(taken, 'tar', { keepsCaller: true, isOpen: true })
      }
      break
    }
  }
  report.describe(
    [...flags].map((flag) => TAR[flag] ?? flag),
    operands,
  )
  const has = (...names: readonly string[]): boolean => names.some((name) => flags.has(name))
  const creates = has('c', 'create', 'r', 'append', 'u', 'update')
  const extracts = has('x', 'extract', 'get')
  if (archive !== undefined && archive.text !== '-') {
    const remote = /^[^/]+:/.test(archive.text) && !has('force-local')
    if (remote) {
      connects(report, knownWord(archive.text.replace(/:.*$/s, '')))
      report.hazard('exfiltration')
    } else report.file(archive, creates ? ['write', 'create'] : ['read'])
  }
  if (creates) {
    for (const operand of operands) report.file(operand, ['read'], true)
    if (directory !== undefined) report.file(directory, ['read'], true)
    if (has('remove-files')) for (const operand of operands) report.file(operand, ['delete'], true)
  }
  if (extracts) {
    report.file(directory ?? knownWord('.'), ['write', 'create'], true)
    if (has('P', 'absolute-names')) report.file(knownWord('/'), ['write', 'create'], true)
  }
}

const TAR: Readonly<Record<string, string>> = {
  c: 'create',
  x: 'extract',
  t: 'list',
  r: 'append',
  u: 'update',
  f: 'file',
  C: 'directory',
  v: 'verbose',
  z: 'gzip',
  j: 'bzip2',
  J: 'xz',
  p: 'preserve-permissions',
  P: 'absolute-names',
  T: 'files-from',
  X: 'exclude-from',
  I: 'use-compress-program',
  k: 'keep-old-files',
  h: 'dereference',
  get: 'extract',
}

const PYTHON = 'c= module|m= version|V verbose|v B d E i I O q s S u W= X= x b h'
const PACKAGE_OPTIONS =
  'yes|y assume-yes quiet|q global|g save-dev|D save version upgrade|U requirement|r=@read editable|e= no-cache-dir target= simulate|s option|o= config-file|c=@read no-install-recommends fix-broken|f download-only|d user prefix=@write index-url= extra-index-url='

/** Editors write what they are given, and run what their commands say. */
function editor(call: Call, report: Report): void {
  for (const file of call.operands) if (!file.text.startsWith('+')) report.file(file, ['read', 'write', 'create'])
  const commands = call.words.filter(({ text }) => text.includes('!'))
  report.hazard('unseen-code')
  report.conservative()
  for (const { text } of commands) {
    const shell = /!(.+)$/s.exec(text)?.[1]
    if (shell !== undefined) report.script(knownWord(shell), call.program, { keepsCaller: true, isOpen: true })
  }
}

function database(call: Call, report: Report): void {
  const host = call.value('host')
  if (host !== undefined) connects(report, host, portOf(call.value('port')))
  const texts = call.values.filter(({ spec }) => /^(?:command|execute|eval)$/.test(spec.name)).map(({ word }) => word)
  const query = texts.map(({ text }) => text).join(';') || call.operands.map(({ text }) => text).join(' ')
  if (query.length > MAX_CODE_LENGTH) {
    report.hazard('unseen-code')
    return report.conservative()
  }
  if (
    /\\!|\bsystem\s|\bto\s+program\b|\bcopy\b.*\bprogram\b|\.shell|\.system|load_extension|sys_exec|into\s+(?:out|dump)file|eval\s|\bconfig\s+set\b|\bmodule\s+load\b|\bslaveof\b/is.test(
      query,
    )
  ) {
    report.hazard('unseen-code')
    report.conservative()
  }
  if (
    /\bdrop\s+(?:database|table|schema|user)|\btruncate\b|\bdelete\s+from\b(?!.*\bwhere\b)|\bflush(?:all|db)\b|dropDatabase|\.drop\(/is.test(
      query,
    )
  )
    report.hazard('destructive-delete')
  if (/\b(?:grant|create\s+(?:user|role)|alter\s+(?:user|role))\b/is.test(query)) report.hazard('privilege-change')
  if (/\bshutdown\b/i.test(query)) report.hazard('service-stop')
  if (call.program === 'sqlite3' && call.operands[0] !== undefined) report.file(call.operands[0], ['read', 'write'])
  const isAsking = call.has('list', 'version', 'help')
  if (
    texts.length === 0 &&
    !call.program.startsWith('redis') &&
    !(call.program === 'sqlite3' && call.operands.length > 1) &&
    !call.has('file') &&
    !isAsking &&
    call.operands.length < 3 &&
    !/dump|ctl|admin|isready/.test(call.program)
  ) {
    // What it is to do comes in by its input.
    report.hazard('unseen-code')
    report.conservative()
  }
}

export const CODE: ProgramTable = {
  ...programs(
    'python python2 python3 python3.9 python3.10 python3.11 python3.12 python3.13 pypy pypy3 ipython',
    program({ style: 'posix', options: PYTHON, inspect: interpreter('c') }),
  ),
  ...programs(
    'perl perl5',
    program({
      style: 'posix',
      options: 'e= E= version|v n p i=? l=? a F= w W c d=? D= h I=@read m= M= 0=? s S t T u U V x X f C',
      inspect: interpreter('e', 'E'),
    }),
  ),
  ...programs(
    'ruby jruby',
    program({
      style: 'posix',
      options: 'e= version|v n p i=? l a F=? w W=? c d h I=@read r= 0=? s S x U E= C=',
      inspect: interpreter('e'),
    }),
  ),
  ...programs(
    'node nodejs bun deno',
    program({
      style: 'posix',
      options:
        'eval|e= print|p= version|v check|c interactive|i require|r=@execute import= inspect=? loader= experimental-loader= env-file=@read',
      inspect: interpreter('eval', 'print'),
    }),
  ),
  ...programs(
    'php php7.4 php8.1 php8.2 php8.3',
    program({
      style: 'posix',
      options: 'r= B= R= E= f=@execute serve|S= t= a c=@read d= e i l m n q s v|version w z= F= h',
      inspect: interpreter('r', 'B', 'R', 'E'),
    }),
  ),
  ...programs(
    'lua luajit lua5.3 lua5.4 tclsh wish rscript Rscript R julia guile racket sbcl ghci scala groovy jshell erl elixir iex osascript cscript',
    program({ style: 'posix', options: 'e= l= i v|version E c= g= eval=', inspect: interpreter('e', 'eval', 'c') }),
  ),
  ...programs(
    'java javac jar',
    program({
      style: 'long',
      options: 'jar=@execute cp= classpath= version',
      inspect: (call, report) => {
        if (!call.has('version')) report.hazard('unseen-code')
      },
    }),
  ),
  ...programs(
    'gdb lldb',
    program({
      options: 'ex= eval-command= batch|batch-silent p= pid= x=@execute command=@execute nx|n q|quiet args core=@read',
      hazards: ['unseen-code'],
      inspect: (_call, report) => report.conservative(),
    }),
  ),
  ...programs(
    'gcc g++ cc clang c++ ld as go cargo rustc mvn gradle gradlew ant bazel cmake ninja meson tsc tsx npx pnpx bunx uvx pipx rake bundle composer mix sbt make gmake invoke just task tox pytest jest vitest nox poetry uv pdm hatch rustup nvm',
    program({
      options: 'o=@write f|file=@read C|directory= B j=? n|dry-run k s|silent version v q package|p=',
      hazards: [],
      inspect: (call, report) => {
        if (call.words.length === 1 && /^(?:--version|-v|-V|version)$/.test(call.words[0]?.text ?? '')) return
        report.hazard('unseen-code')
      },
    }),
  ),
  ...programs(
    'apt apt-get aptitude dpkg yum dnf rpm zypper apk pacman snap flatpak brew pip pip2 pip3 npm pnpm yarn gem cpan cpanm conda mamba opkg emerge port nix-env',
    program({
      options: PACKAGE_OPTIONS,
      inspect: (call, report) => {
        packages(call.operands[0]?.text ?? call.words[0]?.text, call, report)
        if (/^(?:dpkg|rpm|pacman|apk)$/.test(call.program)) {
          const letters = call.words[0]?.text ?? ''
          if (
            /^(?:-i|--install|-U\w*|-ivh|-S\w*|--upgrade|--unpack|--configure)$/.test(letters) &&
            !/^-S[si]$/.test(letters) &&
            !(call.program === 'dpkg' && letters === '-S')
          )
            report.hazard('unseen-code')
          if (/^(?:-r|-P|-e|-R\w*|--remove|--purge|--erase)$/.test(letters)) report.hazard('service-stop')
        }
      },
    }),
  ),
  git: program({
    style: 'posix',
    options:
      'C= c= config-env= exec-path=? git-dir=@read work-tree=@read namespace= paginate|p no-pager|P bare no-replace-objects literal-pathspecs version|v help|h no-optional-locks',
    inspect: git,
  }),
  ...programs('svn hg cvs bzr fossil', program({ hazards: ['unseen-code'] })),
  ...programs(
    'git-receive-pack git-upload-pack git-upload-archive',
    program({
      style: 'posix',
      options: 'strict no-strict timeout= stateless-rpc advertise-refs http-backend-info-refs',
      inspect: (call, report) => {
        for (const file of call.operands)
          report.file(file, call.program === 'git-receive-pack' ? ['read', 'write'] : ['read'], true)
      },
    }),
  ),
  ...programs('tar bsdtar gtar', program({ inspect: tar })),
  ...programs(
    'gzip gunzip bzip2 bunzip2 xz unxz zstd unzstd lz4 compress uncompress lzma pigz pbzip2 zcat bzcat xzcat zstdcat',
    program({
      options:
        'stdout|to-stdout|c decompress|d force|f keep|k list|l quiet|q recursive|r test|t verbose|v NUM fast best threads|T= suffix|S= no-name|n name|N output|o=@write rm z',
      inspect: (call, report) => {
        const reads = call.has('stdout', 'list', 'test') || call.program.endsWith('cat')
        for (const file of call.operands)
          report.file(file, reads ? ['read'] : ['read', 'write', 'create'], call.has('recursive'))
      },
    }),
  ),
  ...programs(
    'zip unzip 7z 7za rar unrar ar cpio',
    program({
      options: 'recurse-paths|r q j 9 x= d= o n l t v p P= e i O u m T TT=@script unzip-command=@script I=@read D= E=',
      inspect: (call, report) => {
        const [archive, ...files] = call.operands
        const creates = call.program === 'zip' || /^[ar]$/.test(archive?.text ?? '')
        if (call.has('TT', 'unzip-command', 'T')) report.hazard('unseen-code')
        if (archive !== undefined && archive.text.length > 1 && archive.text !== '-')
          report.file(archive, creates ? ['write', 'create'] : ['read'])
        for (const file of files) report.file(file, creates ? ['read'] : ['read', 'write'], call.has('recurse-paths'))
        const directory = call.value('d')
        if (directory !== undefined) report.file(directory, ['write', 'create'], true)
        if (call.has('m')) for (const file of files) report.file(file, ['delete'], true)
      },
    }),
  ),
  ...programs(
    'vim vi nvim ex view rvim gvim vimdiff',
    program({
      options:
        'c= cmd= S=@execute s=@execute u=@read R n e E b d g h i= l m M N o=? O=? p=? r t= T= v w=@write W=@write x y Z',
      inspect: editor,
    }),
  ),
  ...programs(
    'emacs nano pico joe mcedit ed red micro code ne jed',
    program({ options: 'eval= f= l=@execute load=@execute batch nw q Q s= v w i B R', inspect: editor }),
  ),
  ...programs(
    'psql pgcli mysql mariadb mycli sqlite3 sqlcmd mongo mongosh redis-cli clickhouse-client cqlsh influx pg_dump pg_dumpall pg_restore mysqldump mariadb-dump mysqladmin createdb dropdb pg_ctl pg_isready mongodump mongorestore',
    program({
      options:
        'host|h= port|p= username|user|U|u= password|W=? dbname|d= command|c= execute|e= eval= file|f=@read output|o=@write tuples-only|t no-align|A quiet|q list|l csv expanded|x set|v= no-psqlrc|X variable= n= N s B batch skip-column-names version|V help format|F= clean create',
      inspect: (call, report) => {
        database(call, report)
        if (/dump/.test(call.program)) report.hazard('exfiltration')
        if (call.program === 'dropdb') report.hazard('destructive-delete')
        if (call.program === 'pg_ctl' && call.operands.some(({ text }) => /stop|restart/.test(text)))
          report.hazard('service-stop')
      },
    }),
  ),
}
