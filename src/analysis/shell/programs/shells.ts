import { hasSubstitution } from '../problem.js'
import { type Call, type ProgramTable, program, programs, type Report } from '../program.js'
import { knownPrefix, knownWord, unknownWord, type WordValue } from '../word-value.js'
import { joinWords } from './support.js'

const LONG_OPTION =
  /^-(?:debug|debugger|dump-(?:po-)?strings|help|init-file|login|noediting|noprofile|norc|posix|pretty-print|protected|rcfile|restricted|verbose|version|wordexp)$/

/** Reads the options of a shell: `-c`, `-lc`, `+e`, `-o name`. The text comes behind all of them. */
function shell(call: Call, report: Report): void {
  let index = 0
  let takesText = false
  let takesInput = false
  for (; index < call.words.length; index++) {
    const word = call.words[index]
    if (word === undefined) break
    const prefix = knownPrefix(word)
    if (!word.isKnown && prefix === '') {
      if (takesText) break
      if (word.fetches) report.hazard('download-and-run')
      return report.unknown('the options of a shell')
    }
    if (prefix === '--' || prefix === '-') {
      index++
      break
    }
    if (prefix === '--rcfile' || prefix === '--init-file') {
      const file = call.words[++index]
      if (file !== undefined) report.file(file, ['read', 'execute'])
      report.hazard('unseen-code')
    } else if (prefix.startsWith('--')) {
      if (/^--(?:version|help)$/.test(prefix)) return
    } else if (/^[-+]/.test(prefix)) {
      // Bash takes long names behind one dash too, other shells take them for letters. And `k` makes assignments of words.
      if (!word.isKnown || LONG_OPTION.test(prefix) || prefix.includes('k'))
        return report.unknown('the options of a shell')
      // Also behind a plus.
      if (prefix.includes('c')) takesText = true
      if (prefix.includes('s')) takesInput = true
      // Wherever they stand, the next words are theirs.
      index += prefix.replace(/[^oO]/g, '').length
    } else {
      break
    }
  }
  const first = call.words[index]
  if (takesText) {
    if (first === undefined) return report.unknown('a shell without its text')
    return report.script(first, `${call.program} -c`)
  }
  if (first !== undefined && !takesInput) {
    report.hazard('unseen-code')
    if (first.fetches) report.hazard('download-and-run')
    if (!first.isKnown || first.text === '/dev/stdin') report.unknown('which script a shell runs')
    report.file(first, ['read', 'execute'])
    report.executes(first)
    return
  }
  const { input } = call
  if (input?.fetches === true) {
    report.hazard('download-and-run')
    report.shellOnSocket()
  }
  if (input?.text !== undefined) return report.script(knownWord(input.text), call.program)
  report.unknown(
    input === undefined
      ? 'a shell whose commands the line does not show'
      : 'what a shell reads is known only when it runs',
  )
}

function evaluated(call: Call, report: Report): void {
  if (call.words.length > 0)
    report.script(joinWords(call.words[0]?.text === '--' ? call.words.slice(1) : call.words), call.program)
}

/** Subscripts are evaluated, with the substitutions in them. */
function refusesSubscripts(call: Call, report: Report): void {
  if (call.words.some(({ text, isKnown }) => /\[.*(?:\$\(|`)/s.test(text) || (!isKnown && /^[^=]*\[/.test(text))))
    report.unknown('a subscript with a substitution')
}

function declares(call: Call, report: Report): void {
  refusesSubscripts(call, report)
  if (call.has('i') || call.program === 'integer') report.calculates()
  // Another name for a variable: setting it sets one that the line does not show.
  if ((call.has('n') && call.program !== 'export') || call.program === 'nameref') {
    report.hazard('unseen-code')
    report.conservative()
  }
  for (const word of call.operands) {
    const match = /^([A-Za-z_]\w*)\+?=/.exec(word.text)
    if (match === null) continue
    const from = match[0].length
    report.assign(match[1] ?? '', { ...word, text: word.text.slice(from), shape: word.shape.slice(from) })
  }
  if (call.has('f', 'F') || call.words.every((word) => word.isKnown)) return
  if (call.operands.some((word) => !/^[A-Za-z_]\w*=/.test(knownPrefix(word)))) {
    report.hazard('unseen-code')
    report.conservative()
  }
}

/** What comes behind means something else from here on, or runs at another time. */
function changesShell(report: Report): void {
  report.hazard('unseen-code')
  report.conservative()
}

export const SHELLS: ProgramTable = {
  ...programs('sh bash dash ash ksh mksh zsh rbash yash', program({ inspect: shell })),
  ...programs(
    'csh tcsh fish pwsh powershell xonsh nu elvish',
    program({
      inspect: (call, report) => {
        if (call.words.length === 1 && /^--?(?:version|help)$/.test(call.words[0]?.text ?? '')) return
        report.unknown('a shell of another language')
      },
    }),
  ),
  eval: program({ inspect: evaluated }),
  ...programs(
    'source .',
    program({
      inspect: (call, report) => {
        const [file] = call.words[0]?.text === '--' ? call.words.slice(1) : call.words
        if (file === undefined) return
        report.hazard('unseen-code')
        if (file.fetches) report.hazard('download-and-run')
        report.file(file, ['read', 'execute'])
        report.executes(file)
        // It may define anything, from variables to the names of commands.
        if (!file.isKnown || file.text === '/dev/stdin') report.unknown('which script is read in')
        else report.conservative()
      },
    }),
  ),
  trap: program({
    options: 'l p P',
    style: 'posix',
    inspect: (call, report) => {
      const [action, ...signals] = call.operands
      if (action === undefined || signals.length === 0 || /^(?:-|\d*)$/.test(action.text)) return
      report.script(action, 'trap', { keepsCaller: true })
    },
  }),
  alias: program({
    options: 'p',
    inspect: (call, report) => {
      for (const word of call.operands) {
        const at = word.text.indexOf('=')
        if (at <= 0) continue
        const value: WordValue = {
          ...word,
          text: word.text.slice(at + 1),
          shape: word.shape.slice(word.shape.indexOf('=') + 1),
        }
        report.alias(word.text.slice(0, at), value)
        // Later lines of a shell mean something else by that name.
        report.hazard('unseen-code')
        report.conservative()
      }
    },
  }),
  ...programs(
    'export readonly declare typeset local integer nameref',
    program({ options: 'a A f F g i I l n p r t u x', inspect: declares }),
  ),
  set: program({
    inspect: (call, report) => {
      const texts = call.words.map(({ text }) => text)
      const options = texts.slice(0, texts.includes('--') ? texts.indexOf('--') : undefined)
      if (options.some((text) => /^-[a-z]*k/i.test(text) || text === 'keyword'))
        report.unknown('words that become assignments')
      if (texts.join(' ').includes('+o history')) report.hazard('log-tampering')
      if (texts.some((text) => text === 'history') && texts.includes('+o')) report.hazard('log-tampering')
    },
  }),
  shopt: program({
    inspect: (call, report) => {
      if (call.words.some(({ text }) => /^(?:expand_aliases|extglob|dotglob|sourcepath|lastpipe)$/.test(text)))
        report.conservative()
    },
  }),
  unset: program({
    options: 'f v n',
    inspect: (call, report) => {
      refusesSubscripts(call, report)
      if (call.operands.some(({ text }) => text.startsWith('HIST'))) report.hazard('log-tampering')
    },
  }),
  unalias: program({ options: 'a' }),
  history: program({
    options: 'c d= a w r n p s',
    inspect: (call, report) => {
      if (call.has('c', 'd', 'w')) report.hazard('log-tampering')
    },
  }),
  fc: program({
    options: 'e= l n r s NUM',
    inspect: (call, report) => {
      if (!call.has('l')) report.unknown('commands out of the history')
    },
  }),
  ...programs(
    'cd pushd chdir',
    program({
      options: 'L P e n NUM',
      inspect: (call, report) => {
        const [target] = call.operands
        report.changeDirectory(call.program === 'pushd' && target === undefined ? unknownWord('', false) : target)
      },
    }),
  ),
  popd: program({ inspect: (_call, report) => report.changeDirectory(unknownWord('', false)) }),
  ...programs(
    'printf',
    program({
      style: 'posix',
      options: 'v=',
      inspect: (call, report) => {
        const name = call.value('v')
        if (name?.isKnown === true) report.assign(name.text, undefined)
        if (name !== undefined) refusesSubscripts(call, report)
      },
    }),
  ),
  ...programs(
    'read mapfile readarray',
    program({
      options: 'r s e a= d= i= n= N= p= t= u= O= C= c=',
      inspect: (call, report) => {
        refusesSubscripts(call, report)
        const callback = call.program === 'read' ? undefined : call.value('C')
        if (callback !== undefined) report.script(callback, call.program, { keepsCaller: true, isOpen: true })
        for (const { text, isKnown } of call.operands) if (isKnown) report.assign(text, undefined)
      },
    }),
  ),
  ...programs(
    'test [',
    program({
      inspect: (call, report) => {
        const at = call.words.findIndex(({ text }) => text === '-v')
        if (at < 0) return
        report.calculates()
        refusesSubscripts(call, report)
      },
    }),
  ),
  getopts: program({
    inspect: (call, report) => {
      const name = call.words[1]
      if (name !== undefined) report.assign(name.text, undefined)
    },
  }),
  // Of zsh and ksh.
  print: program({
    inspect: (call, report) => {
      if (call.words.some(({ text }) => hasSubstitution(text))) report.unknown('a text that may be expanded again')
    },
  }),
  emulate: program({
    style: 'posix',
    options: 'c= l L R',
    inspect: (call, report) => {
      const at = call.words.findIndex(({ text }) => text === '-c')
      const text = at < 0 ? call.value('c') : call.words[at + 1]
      if (text !== undefined) report.script(text, 'emulate')
      else changesShell(report)
    },
  }),
  ...programs(
    'setopt unsetopt zmodload autoload zle sched zstyle disable zcompile aliases functions',
    program({ inspect: (_call, report) => changesShell(report) }),
  ),
  let: program({
    inspect: (call, report) => {
      report.calculates()
      refusesSubscripts(call, report)
    },
  }),
  enable: program({
    options: 'a d n p s f=',
    inspect: (call, report) => {
      report.conservative()
      if (call.has('f')) report.unknown('a builtin out of a file')
    },
  }),
  hash: program({
    options: 'd l p= r t',
    inspect: (call, report) => {
      if (call.has('p')) report.unknown('a name given to another program')
    },
  }),
  ...programs(
    'bind complete compgen compopt',
    program({
      inspect: (call, report) => {
        if (call.words.length > 0) report.hazard('unseen-code')
      },
    }),
  ),
  ...programs(
    ': true false echo pwd exit return break continue shift wait jobs fg bg disown umask ulimit type times suspend logout dirs caller sleep usleep',
    program(),
  ),
}
