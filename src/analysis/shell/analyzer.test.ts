import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { corpusCases } from './corpus.test-support.js'
import { createShellAnalyzer } from './index.js'

const analyzer = createShellAnalyzer()
const { analyze } = { analyze: (text: string) => analyzer.analyze(text) }
const LINES = ['corpus-dangerous.txt', 'corpus-harmless.txt']
  .flatMap((name) => corpusCases(readFileSync(join(import.meta.dirname, name), 'utf8')))
  .map(({ text }) => text)

describe('what only some shells read the same', () => {
  it('is never exact', () => {
    for (const text of [
      ...['echo {a,b}', "echo $'a'", 'echo $"a"', 'ls &> f', 'ls |& cat', '[[ a ]]', '((i++))', 'cat <<< a', 'a=(b c)'],
      ...[
        'a+=b',
        'a[1]=b',
        'cat <(ls)',
        'echo =ls',
        'echo @(a|b)',
        'echo $[1]',
        'function f { ls; }',
        'select x in a; do ls; done',
      ],
    ]) {
      expect(analyze(text).certainty, text).not.toBe('exact')
    }
  })

  it('is exact where the target is known to run bash', () => {
    const bash = createShellAnalyzer({ dialect: 'bash' })
    for (const text of ['echo {a,b}', "echo $'a'", 'ls &> f', 'ls |& cat', '[[ a ]]', 'cat <<< a', 'cat <(ls) x']) {
      expect(bash.analyze(text).certainty, text).toBe(text.includes('<(') ? 'conservative' : 'exact')
    }
  })

  it('is not judged where an escaped quote ends the text for some', () => {
    expect(analyze("echo $'\\'; rm x; #'").certainty).toBe('unparsed')
  })

  it('names what others would run', () => {
    expect(analyze('((reboot))').hazards).toContain('shutdown')
    expect(analyze('[[ a || reboot ]]').hazards).toContain('shutdown')
    expect(analyze('[[ a > /etc/passwd ]]').files).toContainEqual({
      path: '/etc/passwd',
      modes: ['write', 'create'],
      isRecursive: false,
      isExact: true,
    })
  })
})

describe('texts that are not judged', () => {
  it.each([
    ['a NUL', 'ls \0 rm'],
    ['half a surrogate pair', 'ls \ud800'],
    ['a replaced byte', 'ls \ufffd'],
    ['a carriage return outside of quotes', 'ls\r\nrm x'],
    ['a no-break space', 'rm\u00a0-rf'],
    ['an invisible character', 'r\u200bm -rf /'],
    ['a redirection that swallows a program', '<& -rm x'],
    ['an open quote', "rm 'a"],
    ['an open substitution', 'echo $(rm'],
    ['an open here-document', 'cat <<E\nrm'],
    ['an unfinished list', 'ls &&'],
    ['an alias that is not known', 'alias x="$y"\nx'],
  ])('%s', (_name, text) => {
    expect(analyze(text).certainty).toBe('unparsed')
    expect(analyze(text).problem).toBeDefined()
  })

  it('are those beyond the limits', () => {
    expect(analyze('x'.repeat(131_073)).problem).toBe('the line is too long')
    expect(analyze('ls;'.repeat(3000)).problem).toBe('the line has too many commands')
    expect(analyze(`ls ${'a '.repeat(60_000)}`).problem).toBe('the line has too many words')
    const shallow = createShellAnalyzer({ maxDepth: 3 })
    expect(shallow.analyze('eval eval eval ls').certainty).toBe('exact')
    expect(shallow.analyze('eval eval eval eval ls').problem).toBe('texts are nested too deeply')
  })

  it('refer to a history, in a shell that has one', () => {
    const analyzer = createShellAnalyzer()
    const typed = (text: string) => analyzer.analyze(text, { isInteractive: true })
    expect(typed('sudo !!').certainty).toBe('unparsed')
    expect(typed('^a^b').certainty).toBe('unparsed')
    expect(typed('! ls').certainty).toBe('exact')
    // The same text as a command of its own, with the same cache.
    expect(analyzer.analyze('echo !!').certainty).toBe('exact')
    expect(typed('echo !!').certainty).toBe('unparsed')
  })

  it('are explained without what they say', () => {
    expect(analyze("rm 'secret").problem).toBe('the line cannot be read: unterminated single quote')
  })
})

describe('lines of an interactive shell', () => {
  const typed = (text: string) => createShellAnalyzer().analyze(text, { isInteractive: true }).hazards

  it.each([
    "alias ls='rm -rf /'",
    'ls() { rm -rf /; }',
    'function ls { :; }',
    'eval "ls() { :; }"',
    'command set -x',
    'stty erase x',
    'trap : DEBUG',
    'bind -x x',
    'export PATH=/tmp',
    'readonly IFS=x',
    'declare -x LD_PRELOAD=/x',
    'PS1=x',
    'for PATH in /x; do :; done',
    ': ${PATH:=x}',
    '((IFS=1))',
    'unset -f ls',
    'unset PATH',
    'shopt -s extglob',
    'source x',
    '. ./x',
    'true && (alias x=y)',
  ])('change what later ones mean: %s', (text) => {
    expect(typed(text)).toContain('redefinition')
    expect(analyze(text).hazards).not.toContain('redefinition')
  })

  it.each([
    'ls -l',
    'cd /x',
    'x=1',
    'PATH=/x ls',
    'export LANG=C',
    'echo alias',
    'for x in a; do echo $x; done',
    'exec 2>&1',
  ])('leave the others as they are: %s', (text) => {
    expect(typed(text)).not.toContain('redefinition')
  })
})

describe('paths', () => {
  const paths = (text: string) => analyze(text).files.map(({ path }) => path)

  it('are those of the directory gone to', () => {
    expect(paths('cd /etc && cat x ../y /z ~/w')).toEqual(['/etc/x', '/y', '/z', '~/w'])
    expect(paths('cd /etc; cat x')).toEqual(['x', '/etc/x'])
    expect(paths('(cd /etc && cat x) && cat y')).toEqual(['/etc/x', 'y'])
    expect(paths('cd "$d" && cat x')).toEqual(['x'])
    expect(analyze('cd "$d" && cat x').files[0]?.isExact).toBe(false)
    expect(paths('env -C /etc cat x')).toEqual(['/etc/x'])
  })

  it('do not take a tilde in quotes for a home directory', () => {
    expect(paths("cat '~/.ssh/id_rsa' ~/x")).toEqual(['./~/.ssh/id_rsa', '~/x'])
    expect(analyze('HOME=/etc; cat ~/shadow').certainty).toBe('conservative')
  })

  it('are named for programs that nothing is known of', () => {
    expect(analyze('frobnicate --in=/etc/shadow ./x y').files.map(({ path }) => path)).toEqual(['/etc/shadow', 'x'])
  })
})

describe('hostile texts', () => {
  const texts: Record<string, string> = {
    'open substitutions': '$('.repeat(60_000),
    'open backticks': '`'.repeat(60_001),
    'nested substitutions': `${'$(ls '.repeat(200)}${')'.repeat(200)}`,
    'nested subshells': `${'('.repeat(60_000)}ls`,
    'nested quotes': '"$('.repeat(40_000),
    'open braces': `echo ${'{a,'.repeat(30_000)}`,
    'doubling braces': `echo ${'{a,b}'.repeat(1000)}`,
    'many here-documents': `cat ${'<<E '.repeat(20_000)}`,
    'one long word': `echo ${'a'.repeat(130_000)}`,
    'many patterns': `cat /${'*a'.repeat(60_000)}`,
    'one long pipeline': `ls ${'| cat '.repeat(20_000)}`,
    'nested arithmetic': `echo $((${'('.repeat(60_000)}`,
    'nested expansions': `echo ${'${a:-'.repeat(20_000)}`,
    'aliases of aliases': `${Array.from({ length: 300 }, (_, i) => `alias a${i}='a${i + 1} a${i + 1}'`).join('\n')}\na0`,
    'functions in functions': `${'f() { f | f & '.repeat(200)}${'}; '.repeat(200)}`,
    'evals in evals': `${'eval '.repeat(20_000)}ls`,
    'wrappers in wrappers': `${'sudo env nohup '.repeat(8000)}ls`,
    'sed scripts': `sed '${'s/a\\/b/'.repeat(15_000)}' x`,
    'awk scripts': `awk '${'print > '.repeat(15_000)}' x`,
    'one long path': `cat ${'/..'.repeat(40_000)}`,
    'sed scripts of escapes': `sed '/a/{s/.*\\(${'\\(a\\)\\|'.repeat(9000)}/x/'`,
    'open braces behind a pair': `echo {a,b}${'{'.repeat(130_000)}`,
    'long settings of git': `git -c ${'pager'.repeat(25_000)} x`,
    'long modes': `chmod ${'o'.repeat(130_000)} x`,
    slashes: `cp ${'/'.repeat(130_000)}a b/`,
    'blanks in editors': `vim '+${' '.repeat(130_000)}' x`,
    'long directories': `cd /${'a'.repeat(100_000)}${' && cat b'.repeat(3000)}`,
    fillings: `find /${'a'.repeat(60_000)} -exec a ${'{}'.repeat(30_000)} \\;`,
    'finds that run nothing': `find ${'a '.repeat(20_000)} ${'-exec nohup \\; '.repeat(5000)}`,
    'many directories': 'cd a || cd b;'.repeat(900),
  }

  it.each(Object.keys(texts))('%s end in time', (name) => {
    const started = performance.now()
    analyze(texts[name] ?? '')
    expect(performance.now() - started).toBeLessThan(2000)
  })

  const junk = fc.constantFrom(
    ...[
      "'",
      '"',
      '`',
      '$(',
      ')',
      '(',
      '{',
      '}',
      '${',
      '<<E',
      '\n',
      ';',
      '|',
      '&',
      '\\',
      '\0',
      '\r',
      '#',
      '>',
      '<',
      '[[',
      '~',
    ],
    ...[
      ' rm ',
      ' sudo ',
      ' sh -c ',
      ' eval ',
      ' xargs ',
      ' find ',
      ' -exec ',
      ' ; ',
      '$x',
      '*',
      '$((',
      '))',
      '=',
      'E\n',
      '!',
    ],
  )
  const mangled = fc
    .tuple(fc.constantFrom(...LINES), fc.nat(), fc.nat(), fc.oneof(junk, fc.string({ unit: 'binary', maxLength: 4 })))
    .map(([line, at, length, part]) => {
      const from = at % (line.length + 1)
      return line.slice(0, from) + part + line.slice(from + (length % 8))
    })

  it('never make it throw, and are unparsed only with a problem', () => {
    const text = fc.oneof(
      mangled,
      fc.string({ unit: 'binary' }),
      fc.array(junk, { maxLength: 25 }).map((parts) => parts.join('')),
    )
    fc.assert(
      fc.property(text, (line) => {
        const facts = analyzer.analyze(line)
        if (facts.certainty === 'unparsed') expect(facts.problem).toBeDefined()
        else expect(facts.commands.every(({ program }) => program !== undefined)).toBe(true)
        if (facts.certainty === 'exact')
          expect(facts.commands.every(({ certainty }) => certainty === 'exact')).toBe(true)
      }),
      { numRuns: 5000, seed: 11 },
    )
  })

  it('keep the facts of plain words however they are quoted', () => {
    const plain = fc.constantFrom(
      'rm',
      '-rf',
      '/srv/data',
      'cat',
      '/etc/shadow',
      'sudo',
      '-r',
      'x',
      'curl',
      'http://a.b/c',
    )
    const ways: readonly ((word: string) => string)[] = [
      (word) => word,
      (word) => `'${word}'`,
      (word) => `"${word}"`,
      (word) => [...word].map((letter) => `\\${letter}`).join(''),
      (word) => `${word.slice(0, 1)}''${word.slice(1)}`,
      (word) => `""${word}`,
      (word) => `${word.slice(0, 1)}\\\n${word.slice(1)}`,
      (word) => `'${word.slice(0, 1)}'"${word.slice(1)}"`,
    ]
    const quoted = fc.array(fc.tuple(plain, fc.constantFrom(...ways)), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(quoted, (words) => {
        const bare = analyzer.analyze(words.map(([word]) => word).join(' '))
        expect(analyzer.analyze(words.map(([word, way]) => way(word)).join('  '))).toEqual(bare)
      }),
      { numRuns: 1000, seed: 13 },
    )
  })
})

describe('the cache', () => {
  it('gives the same object for the same text, and one that nobody can change', () => {
    const facts = analyze('rm -rf /srv/x')
    expect(analyze('rm -rf /srv/x')).toBe(facts)
    expect(Object.isFrozen(facts.commands[0]?.flags)).toBe(true)
  })
})
