import { MAX_PATH_LENGTH } from '../paths.js'
import { type Call, type ProgramTable, program, programs, type Report } from '../program.js'
import { isCredentialPath } from '../sensitive-paths.js'
import { ANY, knownWord, unknownWord, type WordValue } from '../word-value.js'

const TARGET = 'target-directory|t=@write no-target-directory|T'
const COPYING = `${TARGET} archive|a force|f interactive|i no-clobber|n verbose|v update|u=? backup=? b suffix|S= preserve=? no-preserve= p recursive|r|R link|l symbolic-link|s dereference|L no-dereference|P H d x one-file-system sparse= reflink=? parents attributes-only copy-contents strip-trailing-slashes remove-destination context|Z debug`

/** All but the last are read, the last is written. */
function copies(sources: readonly ('read' | 'delete')[]) {
  return (call: Call, report: Report): void => {
    const isRecursive = call.has('recursive', 'archive') || call.program === 'mv'
    const target = call.value('target-directory')
    const list = target === undefined ? call.operands.slice(0, -1) : call.operands
    for (const source of list) {
      // Moved away is not lost, unless to a place where nothing stays.
      if (sources.includes('delete')) report.file(source, ['read', 'delete'], isRecursive, true)
      else report.file(source, ['read'], isRecursive)
    }
    const last = target ?? (call.operands.length > 1 ? call.operands.at(-1) : undefined)
    if (last === undefined) return
    if (sources.includes('delete') && last.text === '/dev/null') report.hazard('destructive-delete')
    report.file(last, ['write', 'create'], isRecursive)
    // Into a directory it keeps its name.
    for (const source of list) {
      const name = source.text.split('/').findLast((part) => part !== '') ?? ''
      if (source.isKnown && last.isKnown && /\/$|^\.$|^~$/.test(last.text) && name !== '') {
        report.file(
          {
            ...last,
            text: `${last.text.replace(/\/$/, '')}/${name}`,
            shape: `${last.shape.replace(/\/$/, '')}/${name}`,
          },
          ['write', 'create'],
          isRecursive,
        )
      }
    }
    if (/^~?\/?(?:.*\/)?\.ssh$/.test(last.text) && list.some(({ text }) => text.endsWith('authorized_keys')))
      report.hazard('persistence')
  }
}

function changesMode(call: Call, report: Report): void {
  const isReference = call.values.some(({ spec }) => spec.name === 'reference')
  const files = isReference ? call.operands : call.operands.slice(1)
  const [mode] = call.operands
  const written = call.words.filter(({ text }) => /^-[rwxXst]+$/.test(text))
  for (const file of written.length > 0 ? call.operands : files) report.file(file, ['metadata'], call.has('recursive'))
  if (call.program !== 'chmod' || mode === undefined) {
    if (call.program === 'chown' && call.has('recursive') && files.some(({ text }) => /^\/[^/]*\/?$/.test(text)))
      report.hazard('privilege-change')
    return
  }
  // No mode is that long.
  if (mode.text.length > 64) return report.hazard('privilege-change')
  const isSetuid = /^[2-7]\d{3}$|^0*[4-7]\d{3}$|[ugoa]*[+=][rwxXt]*s/.test(mode.text)
  const isOpen =
    /^0*(?:777|666|[0-7]?777|[0-7]?666)$|(?:^|,)(?:[ugo]*[oa][ugo]*)?[+=]r?w/.test(mode.text) &&
    !/^[ug]+[+=]/.test(mode.text)
  if (isSetuid || !mode.isKnown) report.hazard('privilege-change')
  if (
    isOpen &&
    (call.has('recursive') || files.some(({ text }) => /^\/(?:etc|bin|usr|root|lib|sbin|boot|var)?(?:\/|$)/.test(text)))
  )
    report.hazard('privilege-change')
  if (/^0*000$/.test(mode.text) && call.has('recursive')) report.hazard('destructive-delete')
}

/** `find` has its options, its starting points, and then an expression. */
function find(call: Call, report: Report): void {
  const { words } = call
  let index = 0
  while (/^-(?:[HLP]+|O\d|D)$/.test(words[index]?.text ?? '')) index += words[index]?.text === '-D' ? 2 : 1
  const starts: WordValue[] = []
  for (; index < words.length; index++) {
    const word = words[index]
    if (word === undefined || /^[-(!,]/.test(word.shape)) break
    starts.push(word)
  }
  if (starts.length === 0) starts.push(knownWord('.'))
  for (const start of starts) report.file(start, ['list'], true)
  const below = starts.map((start): WordValue => {
    if (start.text.length > MAX_PATH_LENGTH) return unknownWord('{}')
    const shape = start.text.endsWith('/') ? start.shape : `${start.shape}/`
    return { ...start, text: `${start.text.replace(/\/$/, '')}/{}`, shape: shape + ANY, isKnown: false, mayVary: true }
  })
  const names: string[] = []
  for (; index < words.length; index++) {
    const word = words[index]
    if (word === undefined) break
    if (/^-[a-z]/.test(word.text)) names.push(word.text.slice(1))
    if (!word.isKnown) report.conservative()
    if (
      /^-i?(?:name|path|wholename|regex)$/.test(word.text) &&
      words.some(({ text }) => /^-(?:exec|ok|delete)/.test(text))
    ) {
      const pattern = words[index + 1]?.text.replace(/\*/g, ANY) ?? ''
      if (isCredentialPath(pattern)) report.hazard('credential-file')
    }
    if (word.text === '-delete') for (const path of below) report.file(path, ['delete'], true)
    else if (/^-f(?:print|print0|ls|printf)$/.test(word.text)) {
      const file = words[++index]
      if (file !== undefined) report.file(file, ['write', 'create'])
    } else if (word.text === '-files0-from') {
      report.conservative()
    } else if (/^-(?:exec|execdir|ok|okdir)$/.test(word.text)) {
      const from = index + 1
      while (
        index < words.length &&
        words[index]?.text !== ';' &&
        !(words[index]?.text === '+' && words[index - 1]?.text === '{}')
      )
        index++
      const command = words.slice(from, index)
      for (const path of below) {
        const filled = command.map((part) => fill(part, path))
        report.run(filled, `find ${word.text}`, { keepsCaller: true, isOpen: true })
      }
    }
  }
  report.describe(names, starts)
}

const MAX_FILLED = 1_000_000

/** `{}` in a word, as find and xargs replace it. */
export function fill(word: WordValue, value: WordValue, mark = '{}'): WordValue {
  if (mark === '' || !word.text.includes(mark)) return word
  if (word.text.length * value.text.length > MAX_FILLED) return { ...word, shape: ANY, isKnown: false, mayVary: true }
  const put = (text: string, by: string): string => text.split(mark).join(by)
  return {
    ...word,
    text: put(word.text, value.text),
    shape: put(word.shape, value.shape),
    isKnown: false,
    mayVary: value.mayVary,
    hasTilde: value.hasTilde,
  }
}

export const FILES: ProgramTable = {
  rm: program({
    options:
      'recursive|r|R force|f interactive=? i I verbose|v dir|d one-file-system preserve-root=? no-preserve-root help version',
    operands: 'delete',
    recursive: ['recursive'],
    inspect: (call, report) => {
      // What an expansion outside of quotes turns into may begin with options.
      if (call.words.some((word) => word.mayVary && word.shape.startsWith(ANY) && word.text.startsWith('$')))
        report.hazard('destructive-delete')
      if (call.has('no-preserve-root')) report.hazard('destructive-delete')
    },
  }),
  rmdir: program({ options: 'ignore-fail-on-non-empty parents|p verbose|v', operands: 'delete' }),
  unlink: program({ operands: 'delete' }),
  shred: program({
    options: 'force|f iterations|n= random-source=@read size|s= u remove=? verbose|v exact|x zero|z',
    operands: 'write',
    inspect: (call, report) => {
      report.hazard('destructive-delete')
      for (const operand of call.operands) report.file(operand, ['delete'])
    },
  }),
  ...programs(
    'srm wipe scrub',
    program({
      options: 'r f v recursive force',
      operands: 'delete',
      recursive: ['r', 'recursive'],
      hazards: ['destructive-delete'],
    }),
  ),
  cp: program({ options: COPYING, inspect: copies(['read']) }),
  mv: program({ options: COPYING, inspect: copies(['delete']) }),
  install: program({
    options: `${TARGET} directory|d mode|m= owner|o= group|g= compare|C D strip|s preserve-timestamps|p verbose|v backup=? b suffix|S= context|Z`,
    inspect: (call, report) => {
      if (call.has('directory')) for (const operand of call.operands) report.file(operand, ['create'])
      else copies(['read'])(call, report)
      if (/^0*[4-7]\d{3}$|s/.test(call.value('mode')?.text ?? '')) report.hazard('privilege-change')
    },
  }),
  ln: program({
    options: `${TARGET} symbolic|s force|f interactive|i no-dereference|n relative|r logical|L physical|P verbose|v backup=? b suffix|S= directory|d|F`,
    inspect: (call, report) => {
      const [source, target] = call.operands
      if (source !== undefined) report.file(source, ['read'])
      report.file(target ?? call.value('target-directory') ?? knownWord('.'), ['create', 'write'])
    },
  }),
  link: program({ inspect: copies(['read']) }),
  touch: program({
    options: 'a m c|no-create date|d= reference|r=@read t= time= no-dereference|h',
    operands: 'create',
    inspect: (call, report) => {
      for (const operand of call.operands) report.file(operand, ['metadata'])
    },
  }),
  mkdir: program({ options: 'parents|p mode|m= verbose|v context|Z', operands: 'create' }),
  mkfifo: program({ options: 'mode|m= context|Z', operands: 'create' }),
  mktemp: program({ options: 'directory|d dry-run|u quiet|q suffix= tmpdir|p=? t' }),
  mknod: program({
    options: 'mode|m= context|Z',
    inspect: (call, report) => {
      const [file, kind] = call.operands
      if (file !== undefined) report.file(file, ['create'])
      if (kind !== undefined && /^[bcu]$/.test(kind.text)) report.hazard('disk-overwrite')
    },
  }),
  truncate: program({ options: 'size|s= reference|r=@read no-create|c io-blocks|o', operands: 'write' }),
  fallocate: program({
    options:
      'length|l= offset|o= dig-holes|d zero-range|z punch-hole|p collapse-range|c insert-range|i keep-size|n posix|x verbose|v',
    operands: 'write',
  }),
  tee: program({
    options: 'append|a ignore-interrupts|i p output-error=?',
    inspect: (call, report) => {
      for (const operand of call.operands) {
        report.file(operand, ['write', 'create'])
        if (call.input?.fetches === true) report.downloads(operand)
      }
    },
  }),
  sponge: program({ options: 'a', operands: 'write' }),
  chmod: program({
    options:
      'recursive|R changes|c silent|quiet|f verbose|v reference=@read preserve-root no-preserve-root r w x X s t',
    inspect: changesMode,
  }),
  ...programs(
    'chown chgrp',
    program({
      options:
        'recursive|R changes|c silent|quiet|f verbose|v no-dereference|h dereference from= reference=@read preserve-root no-preserve-root H L P',
      inspect: changesMode,
    }),
  ),
  setfacl: program({
    options:
      'modify|m= remove|x= remove-all|b remove-default|k set= recursive|R default|d modify-file|M=@read restore=@read no-mask|n mask',
    operands: 'metadata',
    recursive: ['recursive'],
    hazards: ['privilege-change'],
  }),
  chattr: program({
    options: 'R V f v= p= i a',
    operands: 'metadata',
    recursive: ['R'],
    inspect: (call, report) => {
      if (call.words.some(({ text }) => /^[-+=].*[ia]/.test(text))) report.hazard('privilege-change')
    },
  }),
  setcap: program({ options: 'q v n= r', operands: 'metadata', hazards: ['privilege-change'] }),
  getcap: program({ options: 'r v n h', operands: 'list', recursive: ['r'] }),
  find: program({ inspect: find }),
  ...programs(
    'fd fdfind',
    program({
      options: 'hidden|H no-ignore|I type|t= extension|e= exec|x=@command exec-batch|X=@command glob|g',
      inspect: (call, report) => {
        if (call.has('exec', 'exec-batch')) report.hazard('unseen-code')
      },
    }),
  ),
  ls: program({
    options:
      'all|a almost-all|A author block-size= escape|b ignore-backups|B c C color=? directory|d dired|D f classify|F=? file-type format= full-time g group-directories-first no-group|G human-readable|h si hide= hyperlink=? i|inode ignore|I= kibibytes|k l dereference|L H m n|numeric-uid-gid N|literal o p q|hide-control-chars show-control-chars quote-name|Q quoting-style= reverse|r recursive|R size|s S sort= time= time-style= t tabsize|T= u U v w|width= x X context|Z zero 1 help version',
    operands: 'list',
    recursive: ['recursive'],
  }),
  ...programs('dir vdir', program({ options: 'a l', operands: 'list' })),
  tree: program({
    options: 'a d f i l x L= P= I= p u g s h D F v t c U r C A S n J X H= T= o=@write prune noreport dirsfirst',
    operands: 'list',
    recursive: true,
  }),
  stat: program({ options: 'dereference|L file-system|f cached= format|c= printf= terse|t', operands: 'list' }),
  file: program({
    options:
      'brief|b mime|i mime-type mime-encoding keep-going|k dereference|L z uncompress files-from|f=@read magic-file|m=@read no-dereference|h',
    operands: 'list',
  }),
  ...programs(
    'readlink realpath',
    program({
      options:
        'canonicalize|f canonicalize-existing|e canonicalize-missing|m no-newline|n quiet|q silent|s verbose|v zero|z relative-to= relative-base= logical|L physical|P',
      operands: 'list',
    }),
  ),
  du: program({
    options:
      'all|a apparent-size block-size|B= bytes|b total|c dereference|L dereference-args|D|H max-depth|d= files0-from=@read human-readable|h inodes k m count-links|l no-dereference|P separate-dirs|S si summarize|s threshold|t= time=? exclude= exclude-from|X=@read one-file-system|x',
    operands: 'list',
    recursive: true,
  }),
  df: program({
    options:
      'all|a block-size|B= human-readable|h si|H inodes|i k local|l no-sync output=? portability|P sync total type|t= print-type|T exclude-type|x=',
    operands: 'list',
  }),
  ...programs('basename dirname', program({ options: 'multiple|a suffix|s= zero|z' })),
  ...programs('sync ncdu', program({ options: 'data|d file-system|f x', operands: 'list' })),
  split: program({
    options:
      'bytes|b= lines|l= number|n= line-bytes|C= suffix-length|a= numeric-suffixes|d=? additional-suffix= filter=@script verbose',
    inspect: (call, report) => {
      const [source, prefix] = call.operands
      if (source !== undefined && source.text !== '-') report.file(source, ['read'])
      report.file({ ...(prefix ?? knownWord('x')), shape: `${prefix?.shape ?? 'x'}${ANY}`, isKnown: false }, [
        'write',
        'create',
      ])
    },
  }),
}
