import { type Call, type ProgramTable, program, programs, type Report } from '../program.js'
import { knownWord, unknownWord, type WordValue } from '../word-value.js'
import { fill } from './files.js'
import { joinWords } from './support.js'

function xargs(call: Call, report: Report): void {
  if (call.operands.length === 0) return
  const replace = call.value('replace') ?? call.value('I') ?? (call.has('i', 'replace') ? knownWord('{}') : undefined)
  const item: WordValue = { ...unknownWord('{}'), fetches: call.input?.fetches ?? false }
  const mark = replace?.text === '' ? '{}' : replace?.text
  const words = mark === undefined ? [...call.operands, item] : call.operands.map((word) => fill(word, item, mark))
  report.run(words, 'xargs', { isOpen: true })
}

/** GNU parallel: a command for each of the words behind `:::`, or for each line of its input. */
function parallel(call: Call, report: Report): void {
  const end = call.operands.findIndex(({ text }) => /^:{3,4}\+?$/.test(text))
  const words = end < 0 ? call.operands : call.operands.slice(0, end)
  if (call.has('sshlogin', 'sshloginfile', 'basefile')) report.network({ host: undefined, direction: 'connect' })
  for (const file of end >= 0 && call.operands[end]?.text.startsWith('::::') ? call.operands.slice(end + 1) : [])
    report.file(file, ['read'])
  if (words.length === 0) {
    report.unknown('the commands that parallel reads')
    return
  }
  const text = joinWords(words)
  if (!text.isKnown) return report.unknown('the text that parallel runs')
  // Its replacement strings, and the words themselves, are read by a shell.
  const marked = /\{[^}]*\}/.test(text.text)
  report.script(
    { ...text, text: marked ? text.text.replace(/\{[#%./0-9=+-]*\}/g, '"$1"') : `${text.text} "$1"` },
    'parallel',
    { isOpen: true, isRemote: call.has('sshlogin') },
  )
}

function multiplexer(call: Call, report: Report): void {
  report.hazard('unseen-code')
  report.conservative()
  if (call.program === 'screen') {
    if (call.has('X')) report.hazard('unseen-code')
    if (call.operands.length > 0 && !call.has('X', 'r', 'ls')) report.run(call.operands, 'screen')
    else if (!call.has('ls', 'X')) report.unknown('a session whose commands the line does not show')
    return
  }
  const verb = call.operands[0]?.text ?? 'new-session'
  const asks =
    /^(?:ls|list-.*|has-session|has|display-message|display|show-.*|info|capture-pane|kill-.*|detach.*|start-server|rename.*|select-.*)$/
  if (asks.test(verb)) return
  report.unknown('a session whose commands the line does not show')
  const last = call.operands.at(-1)
  if (
    /^(?:new|new-session|new-window|neww|split-window|splitw|run-shell|run|respawn.*|send-keys|send)$/.test(verb) &&
    last !== undefined &&
    last.text !== verb &&
    last.isKnown &&
    /\s/.test(last.text)
  ) {
    report.script(last, 'tmux', { keepsCaller: true, isOpen: true })
  }
}

export const RUNNING: ProgramTable = {
  xargs: program({
    style: 'posix',
    options:
      'null|0 arg-file|a=@read delimiter|d= E= eof=? e=? I= replace=? i=? L= max-lines=? l=? max-args|n= max-procs|P= interactive|p process-slot-var= no-run-if-empty|r max-chars|s= show-limits verbose|t exit|x open-tty|o',
    inspect: xargs,
  }),
  parallel: program({
    style: 'posix',
    options:
      'jobs|j= null|0 keep-order|k arg-file|a=@read max-args|n= N= bar eta verbose|t dry-run halt= delay= timeout= sshlogin|S= sshloginfile= basefile= results=@write joblog=@write quote|q pipe colsep|C= I= will-cite no-notice tag ungroup|u line-buffer|lb retries= load= memfree= progress xargs|X m no-run-if-empty|r',
    inspect: parallel,
  }),
  watch: program({
    style: 'posix',
    options: 'interval|n= differences|d=? no-title|t beep|b errexit|e chgexit|g color|c exec|x precise|p no-wrap|w',
    inspect: (call, report) => {
      if (call.operands.length === 0) return
      if (call.has('exec')) report.run(call.operands, 'watch')
      else report.script(joinWords(call.operands), 'watch')
    },
  }),
  script: program({
    options:
      'command|c= append|a flush|f quiet|q return|e force timing|t=? log-io|B=@write log-in|I=@write log-out|O=@write log-timing|T=@write logging-format|m= output-limit|o= echo|E=',
    inspect: (call, report) => {
      for (const file of call.operands.slice(0, 1)) report.file(file, ['write', 'create'])
      const text = call.value('command')
      if (text !== undefined) report.script(text, 'script', { keepsCaller: true })
      else report.unknown('a shell whose commands the line does not show')
    },
  }),
  ...programs(
    'tmux byobu',
    program({ style: 'posix', options: 'L= S= f=@read c= 2 C D l N T= u U v V', inspect: multiplexer }),
  ),
  screen: program({
    style: 'posix',
    options: 'd D m S= r x R X ls list L Logfile= c=@read t= p= A O q U h= s= dmS= dm',
    inspect: (call, report) => {
      // `-dmS name command`.
      multiplexer(call, report)
    },
  }),
  ...programs(
    'entr inotifywait incrond watchexec nodemon',
    program({
      style: 'posix',
      options: 'r c d n p s z a m q e= exec|x=@script',
      inspect: (call, report) => {
        if (call.program === 'inotifywait') for (const operand of call.operands) report.file(operand, ['list'])
        else if (call.operands.length > 0) report.run(call.operands, call.program, { isOpen: true })
      },
    }),
  ),
  ...programs(
    'expect',
    program({
      options: 'c= f=@read b d i',
      hazards: ['unseen-code'],
      inspect: (_call, report) => report.conservative(),
    }),
  ),
  'start-stop-daemon': program({
    options:
      'start|S stop|K status|T exec|x=@command startas|a=@command pidfile|p=@read name|n= user|u= chuid|c= group|g= background|b make-pidfile|m quiet|q oknodo|o test|t signal|s= retry|R= chdir|d= chroot|r= nicelevel|N= verbose|v remove-pidfile',
    inspect: (call, report) => {
      if (call.has('stop')) report.hazard('service-stop')
      if (call.has('chuid', 'user')) report.privileged()
      if (call.has('start')) report.hazard('unseen-code')
    },
  }),
  ...programs(
    'run-parts',
    program({ options: 'test list v a= regex= report', hazards: ['unseen-code'], operands: 'execute' }),
  ),
  ...programs(
    'ld.so ld-linux.so.2 ld-linux-x86-64.so.2',
    program({
      style: 'posix',
      options: 'library-path= preload= list',
      inspect: (call, report) => {
        report.hazard('unseen-code')
        if (call.operands.length > 0) report.run(call.operands, call.program)
      },
    }),
  ),
}
