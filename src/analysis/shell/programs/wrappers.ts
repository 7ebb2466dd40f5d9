import { type Call, type ProgramTable, program, programs, type Report, type RunOptions } from '../program.js'
import { knownWord } from '../word-value.js'
import { splitWords, takeAssignments } from './support.js'

const NO_COMMAND = 'a shell whose commands the line does not show'

/** Runs the operands from `skip` on. */
function rest(skip = 0, options: RunOptions = {}) {
  return (call: Call, report: Report): void => {
    const words = call.operands.slice(skip)
    if (words.length > 0) report.run(words, call.program, options)
  }
}

const simple = (options: string, skip = 0) => program({ style: 'posix', options, inspect: rest(skip) })

/** As another user: the command, or else a shell. */
function asUser(call: Call, report: Report, skip = 0): void {
  report.privileged()
  const words = takeAssignments(call.operands.slice(skip), report)
  const directory = call.value('chdir')
  const options: RunOptions = { isPrivileged: true, ...(directory === undefined ? {} : { directory }) }
  if (words.length > 0) report.run(words, call.program, options)
  else report.unknown(NO_COMMAND)
}

export const WRAPPERS: ProgramTable = {
  env: program({
    style: 'posix',
    options:
      'ignore-environment|i null|0 unset|u= chdir|C= split-string|S= argv0|a= debug|v block-signal=? default-signal=? ignore-signal=? list-signal-handling help version',
    inspect: (call, report) => {
      const split = call.value('split-string')
      const first = split === undefined ? [] : splitWords(split)
      // Which may be options again.
      if (first === undefined || first[0]?.text.startsWith('-') === true)
        return report.unknown('the words that env splits')
      const operands = [...first, ...call.operands]
      const words = takeAssignments(operands[0]?.text === '-' ? operands.slice(1) : operands, report)
      const directory = call.value('chdir')
      if (words.length > 0) report.run(words, 'env', directory === undefined ? {} : { directory })
    },
  }),
  sudo: program({
    style: 'posix',
    options:
      'user|u= group|g= host|h= prompt|p= chdir|D= chroot|R= close-from|C= other-user|U= role|r= type|t= command-timeout|T= login|i shell|s edit|e background|b preserve-env=? E non-interactive|n set-home|H stdin|S askpass|A reset-timestamp|k remove-timestamp|K list|l validate|v version|V bell|B preserve-groups|P help',
    inspect: (call, report) => {
      if (call.has('edit')) {
        report.privileged()
        for (const operand of call.operands) report.file(operand, ['read', 'write'])
      } else if (call.operands.length > 0 || call.has('login', 'shell')) {
        asUser(call, report)
      } else if (!call.has('list', 'validate', 'version', 'help', 'remove-timestamp', 'reset-timestamp')) {
        report.unknown(NO_COMMAND)
      }
    },
  }),
  doas: program({
    style: 'posix',
    options: 'user|u= config|C=@read nopass|n shell|s L a=',
    inspect: (call, report) => asUser(call, report),
  }),
  ...programs(
    'su runuser',
    program({
      options:
        'command|c= session-command= login|l shell|s= group|g= supp-group|G= user|u= preserve-environment|m|p fast|f pty|P whitelist-environment|w= help version',
      inspect: (call, report) => {
        report.privileged()
        const text = call.value('command') ?? call.value('session-command')
        if (text !== undefined) report.script(text, call.program, { isPrivileged: true })
        else if (call.has('user') && call.operands.length > 0) {
          report.run(call.words.slice(call.words.indexOf(call.operands[0] ?? knownWord(''))), call.program, {
            isPrivileged: true,
          })
        } else report.unknown(NO_COMMAND)
      },
    }),
  ),
  pkexec: program({
    style: 'posix',
    options: 'user= disable-internal-agent keep-cwd',
    inspect: (call, report) => asUser(call, report),
  }),
  ...programs(
    'gosu su-exec setuidgid chpst',
    program({
      style: 'posix',
      options: 'u= e= U=',
      inspect: (call, report) => asUser(call, report, call.has('u') ? 0 : 1),
    }),
  ),
  setpriv: program({
    style: 'posix',
    options:
      'reuid= regid= groups= clear-groups init-groups keep-groups inh-caps= ambient-caps= bounding-set= no-new-privs securebits= reset-env selinux-label= apparmor-profile= list-caps dump|d',
    inspect: (call, report) => asUser(call, report),
  }),
  chroot: program({
    style: 'posix',
    options: 'userspec= groups= skip-chdir',
    inspect: (call, report) => {
      report.privileged()
      const words = call.operands.slice(1)
      if (words.length === 0) report.unknown(NO_COMMAND)
      else report.run(words, 'chroot', { isPrivileged: true, isElsewhere: true })
    },
  }),
  ...programs(
    'nsenter unshare',
    program({
      style: 'posix',
      options:
        'target|t= all|a mount|m=? uts|u=? ipc|i=? net|n=? pid|p=? cgroup|C=? user|U=? time|T=? setuid|S= setgid|G= root|r=? wd|w=? fork|f kill-child=? mount-proc=? map-root-user|R map-user= map-group= map-auto map-current-user|c propagation= preserve-credentials no-fork|F env|e keep-caps setgroups= follow-context|Z',
      inspect: (call, report) => {
        report.privileged()
        if (call.operands.length === 0) report.unknown(NO_COMMAND)
        else report.run(call.operands, call.program, { isPrivileged: true, isElsewhere: true })
      },
    }),
  ),
  timeout: simple('kill-after|k= signal|s= preserve-status|p foreground|f verbose|v', 1),
  nohup: simple(''),
  setsid: simple('ctty|c fork|f wait|w'),
  nice: simple('adjustment|n= NUM'),
  ionice: simple('class|c= classdata|n= ignore|t pid|p= pgid|P= uid|u='),
  stdbuf: simple('input|i= output|o= error|e='),
  time: simple('portability|p format|f= output|o=@write append|a verbose|v quiet|q'),
  chrt: simple(
    'batch|b deadline|D fifo|f idle|i other|o rr|r reset-on-fork|R pid|p all-tasks|a max|m verbose|v sched-runtime|T= sched-period|P= sched-deadline|d=',
    1,
  ),
  taskset: program({
    style: 'posix',
    options: 'all-tasks|a cpu-list|c pid|p',
    inspect: (call, report) => {
      if (!call.has('pid')) rest(1)(call, report)
    },
  }),
  numactl: simple(
    'interleave|i= preferred|p= physcpubind|C= cpunodebind|N= membind|m= localalloc|l all|a hardware|H show|s',
  ),
  prlimit: simple(
    'pid|p= output|o= raw verbose nofile|n=? nproc|u=? core|c=? cpu|t=? data|d=? as|v=? fsize|f=? stack|s=?',
  ),
  ...programs('setarch linux32 linux64 i386 x86_64', simple('addr-no-randomize|R 3gb|3 uname-2.6 verbose|v')),
  ...programs(
    'unbuffer fakeroot xvfb-run dbus-run-session torsocks torify proxychains proxychains4 tsocks catchsegv eatmydata systemd-inhibit caffeinate noglob nocorrect not and or -',
    simple('config|f=@read what= who= why= mode= auto-servernum|a server-args|s='),
  ),
  repeat: simple('', 1),
  sshpass: simple('p= f=@read d= e P= v'),
  command: program({
    style: 'posix',
    options: 'p v V',
    inspect: (call, report) => {
      if (!call.has('v', 'V')) rest()(call, report)
    },
  }),
  builtin: simple(''),
  exec: program({
    style: 'posix',
    options: 'a= c l',
    inspect: (call, report) => {
      if (call.operands.length > 0) return report.run(call.operands, 'exec')
      // A shell that reads its commands from its input reads them from there.
      if (call.input?.reads === true || call.input?.fetches === true || call.input?.text) report.hazard('unseen-code')
    },
  }),
  ...programs('busybox toybox', simple('list install')),
  flock: program({
    style: 'posix',
    options:
      'shared|s exclusive|e|x unlock|u nonblock|n timeout|wait|w= conflict-exit-code|E= close|o command|c= no-fork|F verbose fcntl',
    inspect: (call, report) => {
      const [file, ...words] = call.operands
      if (file !== undefined && !/^\d+$/.test(file.text)) report.file(file, ['write', 'create'])
      const text = call.value('command') ?? (/^(?:-c|--command)$/.test(words[0]?.text ?? '') ? words[1] : undefined)
      if (text !== undefined) report.script(text, 'flock')
      else if (words.length > 0) report.run(words, 'flock')
    },
  }),
  ...programs(
    'strace ltrace',
    program({
      style: 'posix',
      options:
        'output|o=@write trace|e= attach|p= string-limit|s= summary-only|c summary|C follow-forks|f output-separately|ff|F relative-timestamps|r absolute-timestamps|t|tt syscall-times|T quiet|q verbose|v user|u= env|E= abbrev|a= columns|S= stack-traces|k decode-fds|y=? instruction-pointer|i const-print-style|X= interruptible|I= b= P= O=',
      inspect: (call, report) => {
        if (call.has('attach')) report.hazard('credential-file')
        rest()(call, report)
      },
    }),
  ),
  'systemd-run': program({
    style: 'posix',
    options:
      'user system scope unit|u= property|p= description= slice= remain-after-exit|r send-sighup service-type= uid= gid= nice= working-directory= same-dir|d setenv|E= pty|t pipe|P shell|S quiet|q collect|G wait on-active= on-boot= on-calendar= on-startup= on-unit-active= timer-property= no-block no-ask-password host|H= machine|M=',
    inspect: (call, report) => {
      if (call.value('on-calendar') ?? call.value('on-active') ?? call.value('on-boot')) report.hazard('persistence')
      if (call.operands.length > 0) report.run(call.operands, 'systemd-run', { isPrivileged: !call.has('user') })
      else if (call.has('shell')) report.unknown(NO_COMMAND)
    },
  }),
}
