import { parseOptions } from '../options.js'
import { type Call, type ProgramTable, program, programs, type Report } from '../program.js'
import { SSH_OPTIONS, ssh } from './ssh.js'
import { connects, connectsTo, portOf, remotePath } from './support.js'
import { knownPrefix, type WordValue, wordFrom } from '../word-value.js'

/** `@file` and `name=@file`, as curl takes them. */
function attached(word: WordValue, report: Report): boolean {
  const match = /^(?:[^=@]*=)?[@<]/.exec(knownPrefix(word))
  if (match === null) {
    // What a command says, or what nobody knows, goes out.
    if (!word.isKnown) report.hazard('exfiltration')
    return false
  }
  const file = wordFrom(word, match[0].length)
  if (file.text !== '-') report.file(file, ['read'])
  report.hazard('exfiltration')
  return true
}

function curl(call: Call, report: Report): void {
  const urls = [...call.operands, ...call.values.filter(({ spec }) => spec.name === 'url').map(({ word }) => word)]
  for (const url of urls) {
    if (url.text.startsWith('file:')) report.file(wordFrom(url, 'file://'.length), ['read'])
    else connectsTo(report, url)
    if (url.isOutput) report.hazard('exfiltration')
  }
  for (const { spec, word } of call.values) {
    if (/^(?:data|data-binary|data-urlencode|data-ascii|form|json|url-query)$/.test(spec.name)) {
      const isSent = attached(word, report)
      if (isSent || call.input?.reads !== true) continue
      if (/^@-|=@-/.test(word.text)) report.hazard('exfiltration')
    }
    if (spec.name === 'upload-file') {
      if (word.text !== '-') report.file(word, ['read'])
      report.hazard('exfiltration')
    }
    if (spec.name === 'config') report.hazard('unseen-code')
    if (spec.name === 'output') report.downloads(word)
  }
  if (call.input?.reads === true && call.values.some(({ word }) => word.text.endsWith('@-')))
    report.hazard('exfiltration')
  if (call.has('remote-name', 'remote-name-all')) {
    for (const url of urls) fileFromUrl(url, report)
  }
  report.fetches()
}

function fileFromUrl(url: WordValue, report: Report): void {
  const name = url.text.replace(/[?#].*$/s, '').replace(/^.*\//s, '')
  if (name === '') return
  const word: WordValue = { ...url, text: name, shape: name, hasTilde: false }
  report.file(word, ['write', 'create'])
  report.downloads(word)
}

function wget(call: Call, report: Report): void {
  for (const url of call.operands) {
    connectsTo(report, url)
    if (url.isOutput) report.hazard('exfiltration')
    const directory = call.value('directory-prefix')
    if (!call.has('output-document', 'spider')) {
      fileFromUrl(url, report)
      if (directory !== undefined) report.file(directory, ['write', 'create'], true)
    }
  }
  const output = call.value('output-document')
  if (output !== undefined && output.text !== '-') {
    report.file(output, ['write', 'create'])
    report.downloads(output)
  }
  if (call.has('post-file', 'body-file')) report.hazard('exfiltration')
  if (call.value('post-data')?.isOutput === true) report.hazard('exfiltration')
  if (call.has('use-askpass', 'execute', 'config')) report.hazard('unseen-code')
  report.fetches()
}

function netcat(call: Call, report: Report): void {
  const listens = call.has('listen')
  const [first, second] = call.operands
  const port = portOf(second) ?? portOf(call.value('source-port')) ?? (listens ? portOf(first) : undefined)
  if (listens) {
    report.network({ host: undefined, ...(port === undefined ? {} : { port }), direction: 'listen' })
    report.hazard('firewall')
  } else connects(report, first, port)
  const text = call.value('exec') ?? call.value('sh-exec')
  if (text !== undefined) {
    report.hazard('reverse-shell')
    report.script(text, call.program, { keepsCaller: true })
  } else if (call.input?.reads === true && !call.has('zero')) report.hazard('exfiltration')
  report.fetches()
}

function socat(call: Call, report: Report): void {
  for (const word of call.operands) {
    const address = /^([a-z0-9-]+):(.*)$/is.exec(word.text)
    const kind = (address?.[1] ?? '').toUpperCase()
    const rest = address?.[2] ?? ''
    const [host = '', port = ''] = rest.split(/[:,]/)
    if (/^(?:EXEC|SYSTEM|SHELL)$/.test(kind)) {
      report.hazard('unseen-code')
      if (call.operands.some(({ text }) => /^(?:tcp|udp|openssl|ssl|sctp|vsock|proxy|socks)/i.test(text)))
        report.hazard('reverse-shell')
      report.conservative()
    } else if (/LISTEN$|^(?:TCP|UDP|SSL|OPENSSL)\d?-L/.test(kind)) {
      report.network({
        host: undefined,
        ...(portOf({ ...word, text: host }) === undefined ? {} : { port: Number(host) }),
        direction: 'listen',
      })
      report.hazard('firewall')
    } else if (/^(?:TCP|UDP|OPENSSL|SSL|SCTP)/.test(kind)) {
      report.network({ host, ...(/^\d+$/.test(port) ? { port: Number(port) } : {}), direction: 'connect' })
      report.hazard('firewall')
    } else if (/^(?:FILE|OPEN|CREATE|GOPEN)$/.test(kind)) {
      report.file({ ...word, text: rest.replace(/,.*$/s, ''), shape: rest.replace(/,.*$/s, '') }, [
        'read',
        'write',
        'create',
      ])
    }
  }
  report.fetches()
}

/** `host:path` of somewhere else. All but the last operand are read, the last is written. */
function copiesRemotely(call: Call, report: Report, isRecursive: boolean): void {
  call.operands.forEach((word, index) => {
    const isLast = index === call.operands.length - 1 && call.operands.length > 1
    const host = remotePath(word)
    if (host !== undefined) {
      connects(report, host, call.program === 'rsync' ? undefined : (portOf(call.value('P')) ?? 22))
      if (isLast) report.hazard('exfiltration')
      else report.fetches()
      return
    }
    report.file(word, isLast ? ['write', 'create'] : ['read'], isRecursive)
    if (isLast && call.operands.slice(0, -1).some((source) => remotePath(source) !== undefined)) report.downloads(word)
  })
}

function openssl(call: Call, report: Report): void {
  const [verb, ...words] = call.words
  const { values, flags, operands } = parseOptions(words, OPENSSL, 'long')
  report.describe(flags, verb === undefined ? [] : [verb, ...operands])
  for (const { spec, word } of values) {
    if (spec.role === 'read') report.file(word, ['read'])
    if (spec.role === 'write') report.file(word, ['write', 'create'])
    if (spec.name === 'connect') {
      connects(report, word)
      if (call.input?.reads === true) report.hazard('exfiltration')
      report.fetches()
    }
  }
  if (verb?.text === 's_server') {
    report.network({ host: undefined, direction: 'listen' })
    report.hazard('firewall')
  }
  if (flags.has('engine') || verb?.text === 'engine') report.hazard('unseen-code')
  if (flags.has('pass') || /^(?:rsa|pkey|ec|pkcs12|genrsa|genpkey)$/.test(verb?.text ?? '')) {
    const keys = values.filter(({ spec }) => spec.name === 'in' || spec.name === 'inkey')
    if (keys.length > 0 && !flags.has('pubin') && !flags.has('noout') && !flags.has('pubout'))
      report.hazard('credential-file')
  }
}

const OPENSSL = new Map(
  [
    ...'in inkey CAfile CApath cert key config extfile passin certfile signature verify prverify'
      .split(' ')
      .map((name) => [name, 'read'] as const),
    ...'out keyout writerand outform-file'.split(' ').map((name) => [name, 'write'] as const),
    ...'connect engine subj servername days pass k S iv K provider'
      .split(' ')
      .map((name) => [name, undefined] as const),
  ].map(([name, role]) => [name, { name, value: 'required', role: name === 'passin' ? undefined : role }] as const),
)
for (const name of [
  'pubin',
  'pubout',
  'noout',
  'text',
  'nodes',
  'e',
  'd',
  'a',
  'base64',
  'modulus',
  'x509',
  'new',
  'quiet',
  'showcerts',
  'brief',
  'subject',
  'dates',
  'enddate',
  'startdate',
  'issuer',
  'fingerprint',
  'serial',
  'sha256',
  'hex',
  'salt',
  'pbkdf2',
  'aes-256-cbc',
  'check',
]) {
  ;(OPENSSL as Map<string, { name: string; value: 'none' | 'required'; role: 'read' | 'write' | undefined }>).set(
    name,
    { name, value: 'none', role: undefined },
  )
}

const host = (options: string, isFetching = false) =>
  program({
    options,
    inspect: (call, report) => {
      for (const operand of call.operands.slice(0, 1)) {
        connects(report, operand)
        if (operand.isOutput) report.hazard('exfiltration')
      }
      if (isFetching) report.fetches()
    },
  })

export const NETWORK: ProgramTable = {
  ...programs(
    'curl curlie',
    program({
      options:
        'silent|s show-error|S fail|f fail-with-body location|L location-trusted output|o=@write output-dir= remote-name|O remote-name-all remote-header-name|J head|I include|i request|X= header|H= data|d= data-binary= data-ascii= data-raw= data-urlencode= json= form|F= form-string= user|u= user-agent|A= referer|e= cookie|b= cookie-jar|c=@write upload-file|T= url= url-query= insecure|k cacert=@read capath=@read cert|E=@read key=@read proxy|x= proxy-user|U= socks5= socks5-hostname= max-time|m= connect-timeout= retry= retry-delay= retry-max-time= retry-all-errors retry-connrefused verbose|v trace=@write trace-ascii=@write write-out|w= range|r= resolve= connect-to= interface= compressed globoff|g get|G netrc|n netrc-file=@read config|K=@read no-buffer|N progress-bar|# ipv4|4 ipv6|6 http1.1 http2 http1.0|0 http3 tlsv1|1 tlsv1.2 tlsv1.3 ssl-reqd create-dirs dump-header|D=@write limit-rate= max-redirs= parallel|Z path-as-is unix-socket=@read abstract-unix-socket= doh-url= version|V help|h time-cond|z= continue-at|C= oauth2-bearer= aws-sigv4= no-progress-meter ciphers= post301 post302 disable|q stderr=@write',
      inspect: curl,
    }),
  ),
  ...programs(
    'wget wget2',
    program({
      options:
        'quiet|q verbose|v no-verbose output-document|O= output-file|o=@write append-output|a=@write input-file|i=@read directory-prefix|P= continue|c timestamping|N tries|t= timeout|T= wait|w= recursive|r level|l= mirror|m no-parent|np page-requisites|p convert-links|k no-check-certificate user= password= header= user-agent|U= post-data= post-file=@read body-data= body-file=@read method= spider server-response|S execute|e= background|b no-clobber|nc no-directories|nd show-progress progress= limit-rate= ca-certificate=@read certificate=@read private-key=@read load-cookies=@read save-cookies=@write content-disposition config=@read use-askpass= accept|A= reject|R= domains|D= https-only inet4-only|4 inet6-only|6 max-redirect= no-proxy compression= version|V help|h',
      inspect: wget,
    }),
  ),
  ...programs(
    'aria2c axel fetch lwp-request GET http https xh lynx w3m links elinks',
    program({
      options:
        'o=@write O=@write d= dir= out=@write quiet|q s x= dump source h headers body|b verify= auth|a= follow|F download json|j form|f dump-source cmd_file=@read',
      inspect: (call, report) => {
        for (const operand of call.operands)
          if (/^https?:|^ftp:|\./.test(operand.text) && !/[=@]/.test(operand.text)) connectsTo(report, operand)
        for (const operand of call.operands) if (/[=:]@/.test(operand.text)) report.hazard('exfiltration')
        report.fetches()
      },
    }),
  ),
  ...programs(
    'nc ncat netcat nc.traditional nc.openbsd',
    program({
      options:
        'listen|l k|keep-open u|udp v|verbose n|nodns z|zero q= w|wait= i|idle-timeout= p|source-port= s|source= e|exec= c|sh-exec= lua-exec=@execute x|proxy= X|proxy-type= T= 4 6 N C|crlf D d r U|unixsock b ssl ssl-verify ssl-cert=@read ssl-key=@read allow= deny= broker chat send-only recv-only output|o=@write max-conns|m= t|telnet',
      inspect: (call, report) =>
        netcat(
          {
            ...call,
            has: (...names) => call.has(...names.map(netcatName)),
            value: (name) => call.value(netcatName(name)),
          },
          report,
        ),
    }),
  ),
  socat: program({ options: 'd D ly lf=@write ls v x u U b= s t= T= V h L= W= lp= lu', inspect: socat }),
  telnet: program({
    options: '4 6 8 E K L a c d r l= e= n=@write',
    inspect: (call, report) => {
      connects(report, call.operands[0], portOf(call.operands[1]) ?? 23)
      if (call.input?.reads === true) report.hazard('exfiltration')
      report.fetches()
    },
  }),
  openssl: program({ inspect: openssl }),
  ssh: program({ style: 'posix', options: SSH_OPTIONS, inspect: ssh }),
  ...programs('autossh mosh', program({ style: 'posix', options: `${SSH_OPTIONS} M= ssh=@script`, inspect: ssh })),
  scp: program({
    options: '3 4 6 A B C O R T d f p q r t v D= c= F=@read i=@read J= l= o= P= S=@script X=',
    inspect: (call, report) => {
      // The far end of another's: its paths are here.
      if (call.has('t')) for (const path of call.operands) report.file(path, ['write', 'create', 'metadata'], true)
      else if (call.has('f')) for (const path of call.operands) report.file(path, ['read'], call.has('r'))
      else copiesRemotely(call, report, call.has('r'))
    },
  }),
  sftp: program({
    options: '4 6 A a C f N p q r v B= b=@read c= D= F=@read i=@read J= l= o= P= R= S=@script s=',
    inspect: (call, report) => {
      connects(report, remotePath(call.operands[0] ?? { ...NOBODY }) ?? call.operands[0], portOf(call.value('P')) ?? 22)
      report.hazard('exfiltration')
      report.conservative()
    },
  }),
  rsync: program({
    options:
      'archive|a verbose|v quiet|q recursive|r links|l perms|p times|t group|g owner|o D devices specials compress|z human-readable|h progress partial P delete delete-after delete-before delete-during delete-excluded del force dry-run|n itemize-changes|i stats exclude= exclude-from=@read include= include-from=@read filter|f= files-from=@read rsh|e= rsync-path=@script checksum|c update|u inplace append whole-file|W hard-links|H acls|A xattrs|X executability|E chmod= chown= numeric-ids existing ignore-existing remove-source-files max-size= min-size= bwlimit= timeout= contimeout= port= password-file=@read log-file=@write temp-dir|T= backup|b backup-dir=@write suffix= link-dest=@read compare-dest=@read copy-dest=@read relative|R mkpath one-file-system|x sparse|S copy-links|L safe-links out-format= info= no-owner no-group no-perms omit-dir-times|O fuzzy|y daemon server sender config=@read',
    inspect: (call, report) => {
      if (call.has('server')) {
        // The far end of another's: a dot, then what it sends or where it writes. There `e` is what it can do.
        for (const path of call.operands.slice(1)) {
          if (call.has('sender')) report.file(path, ['read'], true)
          else report.file(path, ['write', 'create', 'metadata', ...(deletes(call) ? (['delete'] as const) : [])], true)
        }
        if (call.has('remove-source-files')) for (const path of call.operands) report.file(path, ['delete'], true)
        return
      }
      const shell = call.value('rsh')
      if (shell !== undefined) report.script(shell, 'rsh', { keepsCaller: true })
      copiesRemotely(call, report, true)
      const last = call.operands.at(-1)
      if (deletes(call) && last !== undefined && remotePath(last) === undefined) report.file(last, ['delete'], true)
      else if (deletes(call)) report.hazard('destructive-delete')
      if (call.has('remove-source-files'))
        for (const source of call.operands.slice(0, -1)) report.file(source, ['delete'], true)
      if (call.has('daemon')) report.hazard('firewall')
      if (call.has('rsh', 'rsync-path')) report.hazard('unseen-code')
    },
  }),
  ...programs(
    'ftp lftp ncftp tftp ncftpput ncftpget',
    program({
      options: 'c=@script e= u= p= n i v d f=@read',
      inspect: (call, report) => {
        connects(report, call.operands[0])
        report.hazard('exfiltration', 'unseen-code')
        report.fetches()
      },
    }),
  ),
  ...programs(
    'dig nslookup host drill ping ping6 traceroute tracepath mtr whois arping fping',
    program({
      options: 'c= i= W= w= t= s= I= n q 4 6 p= x= f=@read short a v d r R b k=@read type=',
      inspect: (call, report) => {
        for (const operand of call.operands) {
          if (/^[+@]/.test(operand.text) && !operand.text.startsWith('@')) continue
          if (operand.isOutput) report.hazard('exfiltration')
          if (/[.:]|^localhost$/.test(operand.text))
            connects(report, operand.text.startsWith('@') ? wordFrom(operand, 1) : operand)
        }
      },
    }),
  ),
  ...programs(
    'nmap masscan zmap',
    program({
      options: 'sS sT sV sU A p= O v oN=@write oX=@write oG=@write oA=@write Pn n T= script= iL=@read F',
      style: 'long',
      inspect: (call, report) => {
        for (const operand of call.operands) connects(report, operand)
        if (call.has('script')) report.hazard('unseen-code')
      },
    }),
  ),
  ...programs(
    'tcpdump tshark dumpcap',
    program({
      options: 'i= w=@write r=@read n v c= s= A X x e q G= C= W= z=@command Z= p t l U D F=@read',
      inspect: (call, report) => {
        if (call.has('z')) report.hazard('unseen-code')
      },
    }),
  ),
  ...programs(
    'ngrok cloudflared chisel frpc frps bore gost stunnel stunnel4 tailscale wg wg-quick openvpn iodine dnscat2 pwncat pwncat-cs msfconsole msfvenom',
    program({
      hazards: ['firewall'],
      inspect: (call, report) => {
        report.network({ host: undefined, direction: 'connect' })
        if (/^pwncat|^msf|dnscat/.test(call.program)) report.hazard('reverse-shell')
      },
    }),
  ),
  ...programs(
    'mail mailx mutt sendmail msmtp swaks',
    program({
      options: 's= a=@read A=@read c= b= r= t i f= v n to= from= attach=@read',
      inspect: (call, report) => {
        if (call.input?.reads === true || call.has('a', 'A', 'attach')) report.hazard('exfiltration')
        if (call.words.some(({ text }) => /^~!|exec=|^-X/.test(text))) report.hazard('unseen-code')
      },
    }),
  ),
  ...programs('rlogin rsh rcp', host('l=', true)),
  'ssh-keygen': program({
    options: 't= b= f=@read C= N= P= q l y v e i p R= F= H a= m= O= s= I= n= V= A E= B D=@execute h U L Q k',
    inspect: (call, report) => {
      if (call.has('D')) report.hazard('unseen-code')
      if (call.has('p', 't')) {
        const file = call.value('f')
        if (file !== undefined) report.file(file, ['write', 'create'])
      }
    },
  }),
  'ssh-copy-id': program({
    options: 'i=@read p= o= f n s x',
    inspect: (call, report) => {
      connects(report, call.operands[0], portOf(call.value('p')) ?? 22)
      report.hazard('persistence')
    },
  }),
  'ssh-keyscan': host('4 6 D H c v f=@read p= t= T=', true),
  ...programs(
    'ssh-add ssh-agent',
    program({
      options: 'l L D d=@read t= k s= e= K x X c q a= A',
      style: 'posix',
      inspect: (call, report) => {
        if (call.program === 'ssh-agent' && call.operands.length > 0) report.run(call.operands, 'ssh-agent')
        else for (const file of call.operands) report.file(file, ['read'])
        if (call.has('s')) report.hazard('unseen-code')
      },
    }),
  ),
}

const NOBODY: WordValue = {
  text: '',
  shape: '',
  isKnown: true,
  mayVary: false,
  hasTilde: false,
  fetches: false,
  isOutput: false,
}

/** Its options go by their letters. */
function netcatName(name: string): string {
  return { exec: 'e', 'sh-exec': 'c', 'source-port': 'p', zero: 'z' }[name] ?? name
}

function deletes(call: Call): boolean {
  return call.has('delete', 'delete-after', 'delete-before', 'delete-during', 'delete-excluded', 'del')
}
