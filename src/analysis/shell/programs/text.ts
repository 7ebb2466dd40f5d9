import { type Call, type ProgramTable, program, programs, type Report } from '../program.js'
import type { WordValue } from '../word-value.js'
import { sedEffects } from './sed.js'
import { MAX_CODE_LENGTH } from './support.js'

/** The first operand is a pattern or a program, unless an option gives it. */
function skipsFirst(...options: readonly string[]) {
  return (call: Call, report: Report): void => {
    const files = call.has(...options) ? call.operands : call.operands.slice(1)
    const isRecursive = call.has('recursive', 'dereference-recursive')
    for (const file of files) if (file.text !== '-') report.file(file, ['read'], isRecursive)
  }
}

function awk(call: Call, report: Report): void {
  const isFile = call.has('file')
  const [code] = call.operands
  if (isFile) report.hazard('unseen-code')
  else if (code !== undefined) awkCode(code, report)
  for (const file of isFile ? call.operands : call.operands.slice(1)) {
    if (!/^\w+=/.test(file.text)) report.file(file, ['read'])
  }
}

function awkCode(code: WordValue, report: Report): void {
  if (!code.isKnown) report.hazard('unseen-code')
  const { text } = code
  if (text.length > MAX_CODE_LENGTH) {
    report.hazard('unseen-code')
    return report.conservative()
  }
  const isRunning = /\bsystem\s*\(|\|\s*&?\s*getline|\|&|print[^|\n;}]*\|\s*(?!\|)|@load|\bextension\s*\(/.test(
    text.replace(/\|\|/g, ''),
  )
  const command = /\bsystem\s*\(\s*"((?:[^"\\])*)"\s*\)/.exec(text)?.[1]
  if (command !== undefined)
    report.script({ ...code, text: command, shape: command, isKnown: true }, 'awk', { keepsCaller: true, isOpen: true })
  if (isRunning) {
    report.hazard('unseen-code')
    report.conservative()
  }
  if (/\/inet[46]?\/(?:tcp|udp)\//.test(text)) {
    report.hazard('reverse-shell')
    report.network({ host: undefined, direction: 'connect' })
  }
  if (/>>?\s*["$\w(]|\bgetline\b|<\s*"/.test(text) && /print|getline/.test(text)) {
    // Redirections of its own name files that are not words.
    if (/print[^>\n;}]*>\s*("|\$|[a-z])/.test(text) || /getline[^<\n;}]*<|"\s*\|/.test(text)) report.conservative()
    for (const match of text.matchAll(/[<>]\s*"([^"\\]+)"/g)) {
      report.file(
        { ...code, text: match[1] ?? '', shape: match[1] ?? '', isKnown: true, hasTilde: false },
        match[0].startsWith('<') ? ['read'] : ['write', 'create'],
      )
    }
  }
}

function sed(call: Call, report: Report): void {
  const scripts = call.values.filter(({ spec }) => spec.name === 'expression').map(({ word }) => word)
  const hasScript = scripts.length > 0 || call.has('file')
  const files = hasScript ? call.operands : call.operands.slice(1)
  const first = hasScript ? undefined : call.operands[0]
  for (const script of first === undefined ? scripts : [first]) sedScript(script, report)
  if (call.has('file')) report.hazard('unseen-code')
  const modes = call.has('in-place') ? (['read', 'write'] as const) : (['read'] as const)
  for (const file of files) report.file(file, modes)
}

function sedScript(script: WordValue, report: Report): void {
  const effects = script.isKnown ? sedEffects(script.text) : undefined
  if (effects === undefined || effects.runsCommands) {
    report.hazard('unseen-code')
    report.conservative()
  }
  const named = (name: string): WordValue => ({ ...script, text: name, shape: name, hasTilde: false })
  for (const name of effects?.reads ?? []) report.file(named(name), ['read'])
  for (const name of effects?.writes ?? []) report.file(named(name), ['write', 'create'])
}

const READING = 'number|n show-all|A number-nonblank|b e show-ends|E squeeze-blank|s t show-tabs|T u show-nonprinting|v'
const GREP =
  'extended-regexp|E fixed-strings|F basic-regexp|G perl-regexp|P regexp|e= file|f=@read ignore-case|i|y no-ignore-case word-regexp|w line-regexp|x no-messages|s invert-match|v max-count|m= byte-offset|b line-number|n line-buffered with-filename|H no-filename|h label= only-matching|o quiet|silent|q binary-files= text|a I directories|d= devices|D= recursive|r dereference-recursive|R include= exclude= exclude-from=@read exclude-dir= files-without-match|L files-with-matches|l count|c initial-tab|T null|Z null-data|z before-context|B= after-context|A= context|C= color=? colour=? binary|U NUM help version'

export const TEXT: ProgramTable = {
  ...programs('cat tac nl', program({ options: `${READING} separator=`, operands: 'read' })),
  ...programs(
    'bat batcat',
    program({ options: 'plain|p language|l= style= paging= number|n line-range|r=', operands: 'read' }),
  ),
  ...programs(
    'head tail',
    program({
      options:
        'bytes|c= lines|n= quiet|silent|q verbose|v zero-terminated|z follow|f=? F pid= retry sleep-interval|s= max-unchanged-stats= NUM',
      operands: 'read',
    }),
  ),
  ...programs(
    'less more most pg view',
    program({
      options: 'N n S R r F X e E i I g M m f c p= j= o=@write O=@write k=@read',
      operands: 'read',
      inspect: (call, report) => {
        if (call.words.some(({ text }) => text.startsWith('+') && text.includes('!'))) report.hazard('unseen-code')
      },
    }),
  ),
  ...programs(
    'grep egrep fgrep zgrep zegrep bzgrep xzgrep',
    program({ options: GREP, inspect: skipsFirst('regexp', 'file') }),
  ),
  ...programs(
    'rg ag ack',
    program({
      options: `${GREP} type|t= type-not= glob|g= iglob= hidden no-ignore u follow files pretty json vimgrep smart-case|S sort= stats threads|j= pre=@command search-zip multiline heading no-heading`,
      inspect: (call, report) => {
        for (const file of call.has('regexp', 'file', 'files') ? call.operands : call.operands.slice(1))
          report.file(file, ['read'], true)
      },
    }),
  ),
  ...programs(
    'wc',
    program({
      options:
        'bytes|c chars|m lines|l max-line-length|L words|w files0-from=@read binary|b check tag text|t quiet status strict warn zero|z algorithm|a= total=',
      operands: 'read',
    }),
  ),
  ...programs(
    'sum cksum md5sum sha1sum sha224sum sha256sum sha384sum sha512sum b2sum shasum',
    program({
      options: 'binary|b check|c tag text|t quiet status strict warn|w zero|z ignore-missing algorithm|a= length|l=',
      operands: 'read',
    }),
  ),
  sort: program({
    options:
      'ignore-leading-blanks|b dictionary-order|d ignore-case|f general-numeric-sort|g ignore-nonprinting|i month-sort|M human-numeric-sort|h numeric-sort|n random-sort|R random-source=@read reverse|r sort= version-sort|V batch-size= check|c=? C compress-program=@command debug files0-from=@read key|k= merge|m output|o=@write stable|s buffer-size|S= field-separator|t= temporary-directory|T= parallel= unique|u zero-terminated|z',
    operands: 'read',
  }),
  uniq: program({
    options:
      'count|c repeated|d D all-repeated=? skip-fields|f= group=? ignore-case|i skip-chars|s= unique|u zero-terminated|z check-chars|w=',
    inspect: (call, report) => {
      const [input, output] = call.operands
      if (input !== undefined && input.text !== '-') report.file(input, ['read'])
      if (output !== undefined) report.file(output, ['write', 'create'])
    },
  }),
  cut: program({
    options:
      'bytes|b= characters|c= delimiter|d= fields|f= n complement only-delimited|s output-delimiter= zero-terminated|z',
    operands: 'read',
  }),
  paste: program({ options: 'delimiters|d= serial|s zero-terminated|z', operands: 'read' }),
  join: program({
    options: '1= 2= a= e= i ignore-case j= o= t= v= check-order nocheck-order header zero-terminated|z',
    operands: 'read',
  }),
  comm: program({
    options: '1 2 3 check-order nocheck-order output-delimiter= total zero-terminated|z',
    operands: 'read',
  }),
  column: program({
    options: 'table|t separator|s= output-separator|o= columns|c= table-columns|N= json|J table-right|R= fillrows|x',
    operands: 'read',
  }),
  ...programs(
    'fold fmt pr expand unexpand rev',
    program({ options: 'bytes|b spaces|s width|w= goal|g= tabs|t= initial|i', operands: 'read' }),
  ),
  strings: program({ options: 'all|a bytes|n= radix|t= encoding|e= print-file-name|f', operands: 'read' }),
  od: program({
    options:
      'address-radix|A= skip-bytes|j= read-bytes|N= strings|S=? format|t= output-duplicates|v width|w=? a b c d f i l o s x',
    operands: 'read',
  }),
  ...programs('hexdump hd', program({ options: 'canonical|C n= s= e= f=@read v b c d o x', operands: 'read' })),
  xxd: program({
    options: 'a b c= e g= i l= p|ps|plain r|revert s= u E o=',
    inspect: (call, report) => {
      const [input, output] = call.operands
      if (input !== undefined && input.text !== '-') report.file(input, ['read'])
      if (output !== undefined) report.file(output, ['write', 'create'])
    },
  }),
  iconv: program({ options: 'from-code|f= to-code|t= output|o=@write list|l c silent|s', operands: 'read' }),
  ...programs(
    'tr seq expr factor date cal bc dc yes numfmt shuf tput clear reset',
    program({
      options:
        'complement|c|C delete|d squeeze-repeats|s truncate-set1|t separator= utc|u iso-8601|I=? rfc-3339= rfc-email|R reference|r=@read set= file=@read date= format|f= w echo|e mathlib|l quiet|q input-range|i= head-count|n= zero-terminated|z NUM',
      inspect: (call, report) => {
        if (call.program === 'shuf' || call.program === 'bc' || call.program === 'dc')
          for (const file of call.has('echo') ? [] : call.operands) report.file(file, ['read'])
        if (call.program === 'date' && call.has('set')) report.hazard('log-tampering')
        if (call.program === 'dc' || call.program === 'bc')
          if (call.words.some(({ text }) => text.includes('!'))) report.hazard('unseen-code')
      },
    }),
  ),
  ...programs(
    'diff cmp sdiff colordiff diff3',
    program({
      options:
        'unified|u=? U= context|c C= recursive|r brief|q new-file|N ignore-all-space|w ignore-space-change|b ignore-blank-lines|B ignore-case|i side-by-side|y width|W= exclude|x= color=? report-identical-files|s text|a label= silent bytes|n= verbose|l',
      operands: 'read',
      recursive: ['recursive'],
    }),
  ),
  patch: program({
    options: 'strip|p= input|i=@read directory|d= reverse|R dry-run forward|N force|f backup|b output|o=@write',
    operands: 'write',
    inspect: (_call, report) => {
      report.conservative()
    },
  }),
  ...programs(
    'awk gawk mawk nawk original-awk',
    program({
      style: 'posix',
      options:
        'field-separator|F= assign|v= file|f=@read include|i=@read load|l= exec|E=@read sandbox|S posix|P characters-as-bytes|b optimize|O',
      inspect: awk,
    }),
  ),
  ...programs(
    'sed gsed',
    program({
      options:
        'quiet|silent|n debug expression|e= file|f=@read in-place|i=? line-length|l= posix regexp-extended|E|r separate|s sandbox unbuffered|u null-data|z follow-symlinks',
      inspect: sed,
    }),
  ),
  ...programs(
    'base64 base32 basenc',
    program({ options: 'decode|d|D ignore-garbage|i wrap|w= base64 base32 base16 z85', operands: 'read' }),
  ),
  jq: program({
    options:
      'raw-output|r raw-input|R slurp|s compact-output|c null-input|n exit-status|e sort-keys|S color-output|C monochrome-output|M ascii-output|a join-output|j tab indent= from-file|f=@read arg= argjson= slurpfile= rawfile= args jsonargs seq stream L=',
    inspect: skipsFirst('from-file'),
  }),
  yq: program({
    options: 'inplace|i null-input|n output-format|o= input-format|p= raw-output|r prettyPrint|P exit-status|e',
    inspect: (call, report) => {
      for (const file of call.operands.slice(1)) report.file(file, call.has('inplace') ? ['read', 'write'] : ['read'])
    },
  }),
  envsubst: program(),
}
