import { describe, expect, it } from 'vitest'
import { createShellAnalyzer } from './index.js'

const analyzer = createShellAnalyzer()

/** Each runs `rm` in some shell, or is another command to some shell than it looks. */
const HIDDEN: readonly (readonly [reason: string, text: string])[] = [
  ['a quote in an expansion of a here-document', "cat <<EOT\n${x:-'$(rm a)'}\nEOT"],
  ['a quote in an expansion of a here-document', "cat <<EOT\n$(( '$(rm a)' ))\nEOT"],
  ['a quote in arithmetic', "probe $(( '$(rm a)' ))"],
  ['a quote in arithmetic', 'probe "$((' + " '`rm a`' " + '))"'],
  ['a quote in arithmetic', "(( '$(rm a)' ))"],
  ['a quote in arithmetic', "probe $['$(rm a)']"],
  ['a quote in arithmetic', "for (( i='$(rm a)'; i<1; i++ )); do :; done"],
  ['a quote in a subscript', "probe ${x['$(rm a)']}"],
  ['a quote in a subscript', "x['$(rm a)']=1"],
  ['a quote in a subscript', "x=(['$(rm a)']=1)"],
  ['a quote behind a dollar inside of quotes', 'probe "${x:-$' + "'$(rm a)'" + '}"'],
  ['a value that arithmetic runs', "[[ -v 'x[$(rm a)]' ]]"],
  ['a value that arithmetic runs', "[[ 'x[$(rm a)]' -eq 1 ]]"],
  ['a value that arithmetic runs', "y='x[$(rm a)]'; (( y ))"],
  ['a value that arithmetic runs', "y='x[$(rm a)]'; echo $((y))"],
  ['a value that arithmetic runs', "for y in 'x[`rm a`]'; do echo ${z:y}; (( y )); done"],
  ['a value that arithmetic runs', "read y <<'EOT'\nx[$(rm a)]\nEOT\n(( y ))"],
  ['what comes in by the input', 'sh < /dev/stdin'],
  ['what comes in by the input', 'bash 0</dev/fd/0'],
  ['what comes in by the input', 'printf "rm a" | sh < /dev/stdin'],
  ['what comes in by the terminal', 'sh < /dev/tty'],
  ['a value that arithmetic runs', "declare -i y; y='x[$(rm a)]'"],
  ['a value that arithmetic runs', "declare -i y=0; for y in 'x[$(rm a)]'; do :; done"],
  ['a value that arithmetic runs', "declare -i y; set -- 'x[$(rm a)]'; y=$1"],
  ['a value that arithmetic runs', "declare -i y; : ${y:='x[$(rm a)]'}"],
  ['a value that arithmetic runs', "RANDOM='x[$(rm a)]'"],
  ['a value that arithmetic runs', "y=abc; probe ${y:'x[$(rm a)]'}"],
  ['a value that arithmetic runs', "set -- 'x[$(rm a)]'; probe ${!1}"],
  ['a value that arithmetic runs', "a='x['; b='$(rm a)]'; y=$a$b; (( y ))"],
  ['a value that arithmetic runs', "a='$(rm a)'; x=([$a]=1)"],
  ['a value that arithmetic runs', 'a=\'$(rm a)\'; test -v "x[$a]"'],
  ['a value that arithmetic runs', 'a=\'$(rm a)\'; read "x[$a]" <<< 1'],
  ['a word that zsh runs the next ones behind', '- rm a'],
  ['another shell to be', "emulate sh -c 'rm a'"],
  ['a text that is expanded again', "print -P '$(rm a)'"],
  ['options in one word', "bash -oc errexit 'rm a'"],
  ['options in one word', "bash -oOc errexit extglob 'rm a'"],
  ['options behind a plus', "sh +c 'rm a'"],
  ['long options behind one dash', "bash -rcfile x -ic 'rm a'"],
  ['names that env takes for those of variables', 'env "a b=c" rm d'],
  ['names that env takes for those of variables', 'env =b rm c'],
  ['names that env takes for those of variables', 'sudo a.b=c rm d'],
  ['options in the text that env splits', "env -S '-u x rm a'"],
  ['a wrapper that takes a text', "flock x --command 'rm a'"],
  ['an option of a wrapper that is not known, and takes a word', 'flock --wait 1 x rm a'],
  ['an option of a wrapper that is not known, and takes a word', 'nice --soon 1 rm a'],
]

/** Each changes what later lines of the same shell mean. */
const CHANGING = [
  'alias ls="rm -rf /"',
  'BASH_ALIASES[ls]="rm -rf /"',
  'BASH_CMDS[ls]=/bin/rm',
  'declare -n r=PATH; r=/tmp',
  'exec < script',
  'aliases[ls]=rm',
  'setopt promptsubst',
  'echo ${(e)x}',
  'stty kill K',
  'stty erase E',
]

/** Each is read differently by some shell. */
const DIFFERENT = ['probe 10>x', 'probe a 10>&1', 'probe x=~/a', 'set -k; probe x=1', "bash -kc 'probe x=1'"]

describe('what hides in a line', () => {
  it.each(HIDDEN)('is found, or the line is not parsed: %s', (_reason, text) => {
    const { certainty, commands } = analyzer.analyze(text)
    expect(certainty === 'unparsed' || commands.some(({ program }) => program === 'rm')).toBe(true)
  })

  it('is code that later arithmetic of the same shell would run', () => {
    for (const text of ["y='x[$(rm a)]'", "read y <<< 'x[$(rm a)]'"]) {
      expect(analyzer.analyze(text, { isInteractive: true }).hazards).toContain('redefinition')
      expect(analyzer.analyze(text).hazards).not.toContain('redefinition')
    }
  })

  it.each(CHANGING)('is code that the next line does not show: %s', (text) => {
    expect(analyzer.analyze(text).hazards).toContain('unseen-code')
  })

  it.each([
    ['scp -t /etc', 'write', '/etc'],
    ['nice scp -t /etc', 'write', '/etc'],
    ['scp -r -f /etc', 'read', '/etc'],
    ['rsync --server -logDtpre.iLsfxC . /etc', 'write', '/etc'],
    ['rsync --server --sender -logDtpre.iLsfxC . /etc', 'read', '/etc'],
  ] as const)('is said of the far end of a transfer, with all below it: %s', (text, mode, path) => {
    const { files, certainty } = analyzer.analyze(text)
    expect(certainty).toBe('exact')
    expect(files).toMatchObject([{ path, modes: expect.arrayContaining([mode]), isRecursive: true }])
  })

  it.each(DIFFERENT)('is never exact: %s', (text) => {
    expect(analyzer.analyze(text).certainty).not.toBe('exact')
  })

  it.each([
    "cat <<EOT\nit's $(date) 'x' ${y}\nEOT",
    'echo $(( x + 1 ))',
    'cat <<EOT\n$((1 + 1)) $(date)\nEOT',
    'x=$((x + 1)); y=$(date); echo ${y:1} $((x))',
    "awk '{a[$(1)]++}' f",
    'env - A=b ls',
    'stty sane',
    'set -euo pipefail',
    "bash -euo pipefail -c 'ls'",
  ])('is not suspected without a reason: %s', (text) => {
    const { certainty, hazards } = analyzer.analyze(text)
    expect(certainty).not.toBe('unparsed')
    expect(hazards).toEqual([])
  })
})
