import type { ShellHazard } from '../../../core/index.js'
import { type Call, type ProgramTable, program, programs, type Report } from '../program.js'
import { knownWord } from '../word-value.js'
import { runsScript } from './support.js'

function service(action: string | undefined, units: readonly string[], call: Call, report: Report): void {
  if (action === undefined) return
  const stops = /^(?:stop|kill|disable|mask|isolate|halt)$/.test(action)
  if (stops) report.hazard('service-stop')
  if (/^(?:restart|try-restart|reload-or-restart|force-reload)$/.test(action)) report.hazard('service-stop')
  if (stops && units.some((unit) => /^(?:auditd|rsyslog|syslog|systemd-journald)/.test(unit)))
    report.hazard('log-tampering')
  if (stops && units.some((unit) => /^(?:firewalld|ufw|iptables|nftables)/.test(unit))) report.hazard('firewall')
  if (/^(?:enable|reenable|link|preset|add-wants|add-requires|edit|set-default|revert|set-property)$/.test(action))
    report.hazard('persistence')
  if (
    /^(?:poweroff|reboot|halt|shutdown|kexec|suspend|hibernate|rescue|emergency|exit|soft-reboot|switch-root|hybrid-sleep)$/.test(
      action,
    )
  )
    report.hazard('shutdown')
  if (/^(?:set-environment|import-environment|daemon-reexec)$/.test(action)) report.hazard('unseen-code')
  if (!call.operands.every(({ isKnown }) => isKnown)) report.conservative()
}

const hazard = (options: string, ...hazards: readonly ShellHazard[]) => program({ options, hazards })

export const SYSTEM: ProgramTable = {
  systemctl: program({
    options:
      'type|t= state= property|p= all|a full|l recursive reverse after before now no-reload no-legend no-pager no-block wait no-wall global runtime force|f quiet|q user system host|H= machine|M= root= lines|n= output|o= signal|s= kill-whom= what= value job-mode= plain failed show-types firmware-setup no-ask-password',
    inspect: (call, report) => {
      const [action, ...units] = call.operands.map(({ text }) => text)
      service(action, units, call, report)
      if (call.has('host')) report.network({ host: call.value('host')?.text, direction: 'connect' })
    },
  }),
  ...programs(
    'service rc-service invoke-rc.d',
    program({
      options: 'status-all full-restart',
      inspect: (call, report) => {
        const [unit, action] = call.operands.map(({ text }) => text)
        service(action, unit === undefined ? [] : [unit], call, report)
      },
    }),
  ),
  ...programs('update-rc.d chkconfig rc-update', hazard('', 'persistence')),
  ...programs(
    'supervisorctl pm2 monit sv initctl',
    program({ options: 'c=@read', inspect: (call, report) => service(call.operands[0]?.text, [], call, report) }),
  ),
  ...programs(
    'shutdown poweroff reboot halt telinit init kexec',
    program({
      options: 'halt|H poweroff|p|P reboot|r k no-wall c show h f force n w wtmp-only d load|l exec|e t=',
      inspect: (call, report) => {
        if (call.program !== 'shutdown' || !call.has('c', 'show')) report.hazard('shutdown')
      },
    }),
  ),
  ...programs(
    'kill pkill killall killall5 skill',
    program({
      options:
        'signal|s= l list L table q p f|full x|exact u|euid= U|uid= g|pgroup= G|group= P|parent= t|terminal= n|newest o|oldest v|verbose i|ignore-case e|echo c|count w|wait I interactive r regexp NUM',
      inspect: (call, report) => {
        if (call.has('l', 'list', 'L', 'table') || call.words.some(({ text }) => text === '-0')) return
        if (
          call.program !== 'kill' ||
          call.operands.some(({ text, isKnown }) => !isKnown || /^(?:1|-1)$/.test(text)) ||
          call.words.some(({ text }) => text === '-1' && call.words.length > 1 && call.words.at(-1)?.text === '-1')
        )
          report.hazard('service-stop')
      },
    }),
  ),
  ...programs(
    'fuser',
    program({
      options: 'k|kill m|mount= n|namespace= s u v a i w l 4 6 c f M',
      operands: 'list',
      inspect: (call, report) => {
        if (call.has('k')) report.hazard('service-stop')
      },
    }),
  ),
  crontab: program({
    options: 'u= l r e i',
    inspect: (call, report) => {
      if (call.has('l')) return
      report.hazard('persistence')
      if (call.has('r')) report.hazard('destructive-delete')
      for (const file of call.operands) if (file.text !== '-') report.file(file, ['read'])
    },
  }),
  ...programs(
    'at batch',
    program({
      options: 'q= m M v f=@read t= l d r c b',
      inspect: (call, report) => {
        if (call.has('l', 'c')) return
        report.hazard('persistence')
        if (call.has('d', 'r')) return
        if (call.input?.text !== undefined)
          report.script(knownWord(call.input.text), call.program, { keepsCaller: true })
        else runsScript(call, report, call.value('f'))
      },
    }),
  ),
  ...programs('atrm', hazard('', 'service-stop')),
  ...programs(
    'mkfs mkfs.ext2 mkfs.ext3 mkfs.ext4 mkfs.xfs mkfs.btrfs mkfs.vfat mkfs.fat mkfs.ntfs mke2fs mkswap mkntfs mkdosfs wipefs blkdiscard sgdisk sfdisk cfdisk gdisk parted badblocks pvremove vgremove lvremove pvcreate lvreduce zpool zfs mdadm cryptsetup hdparm nvme sg_format tune2fs resize2fs debugfs dmsetup flashrom btrfs xfs_repair fsck fsck.ext4 e2fsck swapoff',
    program({
      options:
        'type|t= force|f F all|a L= b= n no-act quiet|q list|l print|p script|s list-types zap-all|Z version|V help',
      inspect: disk,
    }),
  ),
  fdisk: program({ options: 'list|l bytes b= L=? color=? o|output= u=? w=? W=? s C= H= S= t= x', inspect: disk }),
  ...programs(
    'dd dcfldd',
    program({
      inspect: (call, report) => {
        for (const word of call.words) {
          const match = /^(if|of)=/.exec(word.text)
          if (match === null) continue
          const from = match[0].length
          const file = {
            ...word,
            text: word.text.slice(from),
            shape: word.shape.slice(from),
            hasTilde: word.text[from] === '~',
          }
          report.file(file, match[1] === 'of' ? ['write', 'create'] : ['read'])
        }
      },
    }),
  ),
  ...programs(
    'mount umount swapon losetup',
    program({
      options:
        'all|a types|t= options|o= bind|B rbind|R read-only|r rw|w verbose|v fake|f no-mtab|n move|M lazy|l force recursive detach|d find show|P label|L= uuid|U= help target= source= json|J list',
      inspect: (call, report) => {
        if (call.operands.length === 0 && !call.has('all')) return
        report.hazard(call.program === 'umount' ? 'service-stop' : 'privilege-change')
        for (const operand of call.operands) report.file(operand, ['metadata'])
      },
    }),
  ),
  ...programs(
    'useradd adduser usermod userdel deluser groupadd addgroup groupmod groupdel delgroup gpasswd chage passwd chpasswd chfn chsh newgrp vipw vigr visudo newusers pwconv pwunconv grpconv samba-tool smbpasswd htpasswd',
    program({
      options:
        'create-home|m no-create-home|M shell|s= groups|G= gid|g= uid|u= home|d= home-dir= comment|c= password|p= append|a system|r remove force|f lock|L unlock|U delete status|S list|l expire expiredate|e= inactive|i= non-unique|o key|K= disabled-password disabled-login gecos= ingroup= check stdin login= add= encrypted',
      hazards: [],
      inspect: (call, report) => {
        const isAsking = call.has('list', 'status', 'check') && !call.has('delete')
        if (!isAsking) report.hazard('privilege-change')
      },
    }),
  ),
  ...programs(
    'setenforce aa-disable aa-teardown aa-complain apparmor_parser setsebool semodule',
    hazard('', 'privilege-change'),
  ),
  ...programs(
    'auditctl',
    program({
      options: 'e= D l s w= p= k= a= d= W= R=@read f= b= r=',
      inspect: (call, report) => {
        if (!call.has('l', 's')) report.hazard('log-tampering')
      },
    }),
  ),
  ...programs(
    'logrotate',
    program({ options: 'force|f debug|d state|s= verbose|v', operands: 'read', hazards: ['log-tampering'] }),
  ),
  journalctl: program({
    options:
      'no-full all|a follow|f pager-end|e lines|n= no-tail reverse|r output|o= output-fields= utc no-hostname catalog|x quiet|q merge|m boot|b=? list-boots dmesg|k identifier|t= unit|u= user-unit= priority|p= facility= grep|g= case-sensitive=? since|S= until|U= cursor|c= system user machine|M= directory|D=@read file=@read root= no-pager disk-usage vacuum-size= vacuum-time= vacuum-files= rotate flush sync verify list-catalog fields|N field|F= header',
    inspect: (call, report) => {
      if (call.has('vacuum-size', 'vacuum-time', 'vacuum-files', 'rotate')) report.hazard('log-tampering')
    },
  }),
  dmesg: program({
    options:
      'clear|C read-clear|c console-off|D console-on|E human|H kernel|k level|l= facility|f= console-level|n= nopager|P raw|r since= until= follow|w ctime|T notime|t time-format= decode|x color|L=? show-delta|d',
    inspect: (call, report) => {
      if (call.has('clear', 'read-clear', 'console-off')) report.hazard('log-tampering')
    },
  }),
  ...programs(
    'insmod modprobe rmmod kmod',
    program({
      options: 'r|remove f|force v|verbose n|dry-run q|quiet a|all c|showconfig',
      hazards: ['unseen-code', 'privilege-change'],
    }),
  ),
  sysctl: program({
    options: 'all|a write|w load|p=? system quiet|q values|n names|N ignore|e pattern|r= binary|b',
    inspect: (call, report) => {
      const sets = call.has('write', 'load', 'system') || call.operands.some(({ text }) => text.includes('='))
      if (sets) report.hazard('privilege-change')
      if (call.operands.some(({ text }) => /ip_forward|rp_filter|accept_redirects/.test(text) && text.includes('=')))
        report.hazard('firewall')
    },
  }),
  ...programs(
    'iptables ip6tables iptables-legacy ip6tables-legacy',
    program({
      options:
        'append|A= insert|I= delete|D= replace|R= check|C= list|L=? list-rules|S=? flush|F=? zero|Z=? new-chain|N= delete-chain|X=? policy|P= table|t= protocol|p= source|s= destination|d= jump|j= goto|g= in-interface|i= out-interface|o= match|m= numeric|n verbose|v exact|x line-numbers wait|w=? dport= sport= dports= state= ctstate= to-destination= to-port= to-ports= comment= icmp-type= limit= syn',
      inspect: (call, report) => {
        if (call.has('append', 'insert', 'delete', 'replace', 'flush', 'zero', 'new-chain', 'delete-chain', 'policy'))
          report.hazard('firewall')
      },
    }),
  ),
  ...programs(
    'nft ufw firewall-cmd ipset ebtables arptables iptables-restore ip6tables-restore nft-restore pfctl ipfw tc',
    program({
      options:
        'file|f=@read handle|a list-all list-ports list-services state get-default-zone get-active-zones zone= permanent add-port= remove-port= add-service= reload numeric|n',
      inspect: (call, report) => {
        const first = call.operands[0]?.text
        const asks =
          /^(?:status|list|show|version|app|-L)$/.test(first ?? '') ||
          call.has('list-all', 'list-ports', 'list-services', 'state', 'get-default-zone', 'get-active-zones')
        if (!asks) report.hazard('firewall')
      },
    }),
  ),
  ip: program({
    style: 'long',
    options:
      'json|j pretty|p brief|br oneline|o details|d statistics|s family|f= 4 6 color|c netns|n= a all b batch= human',
    inspect: (call, report) => {
      const words = call.operands
      const at = words.findIndex(({ text }) => text === 'exec')
      if (/^netns?$/.test(words[0]?.text ?? '') && at > 0) {
        report.privileged()
        return report.run(call.words.slice(call.words.findIndex(({ text }) => text === 'exec') + 2), 'ip netns exec', {
          keepsCaller: false,
          isPrivileged: true,
        })
      }
      if (words.slice(1).some(({ text }) => /^(?:add|del|delete|set|flush|change|replace|a?pp?end)$/.test(text)))
        report.hazard('firewall')
    },
  }),
  ...programs(
    'ifconfig route ifdown ifup nmcli brctl ovs-vsctl',
    program({
      options: 'a n s v',
      inspect: (call, report) => {
        if (call.operands.some(({ text }) => /^(?:down|up|add|del|delete|modify|netmask|off)$/.test(text)))
          report.hazard('firewall')
      },
    }),
  ),
  ...programs(
    'ps top htop free uptime who w whoami id groups hostname uname arch nproc lscpu lsblk lspci lsusb lsmod lsof ss netstat vmstat iostat mpstat sar pidstat pgrep pidof pstree last lastb lastlog finger getent locale localectl timedatectl hostnamectl loginctl printenv tty which whereis type env-print lsb_release blkid findmnt getconf pmap lsns lslocks lsattr getfacl ltrace-print ulimit sensors dmidecode ntpq chronyc resolvectl systemd-analyze systemd-cgls systemd-cgtop coredumpctl man info help apropos whatis tldr cowsay fortune figlet',
    program({
      options:
        'a A e f|full F l L u U p o C t n x h H m g s k c i w r d v V b S N q z B E I j J K M O P R T W X Z help version sort= no-headers',
      inspect: (call, report) => {
        const sets = call.operands.some(({ text }) => /^set-|^(?:terminate|kill)-/.test(text))
        if (sets && call.program.endsWith('ctl')) report.hazard('privilege-change')
        if (call.program === 'getent' && call.operands.some(({ text }) => /^g?shadow$/.test(text)))
          report.hazard('credential-file')
        if (call.program === 'man' && call.words.some(({ text }) => /^(?:-P|--pager|-H|--html)/.test(text)))
          report.hazard('unseen-code')
      },
    }),
  ),
  stty: program({
    options: 'all|a save|g file|F=@write version help',
    inspect: (call, report) => {
      // A letter that erases, kills or ends a line makes other lines of those that follow.
      if (call.words.every(({ text }) => HARMLESS_STTY.test(text))) return
      report.hazard('unseen-code')
      report.conservative()
    },
  }),
}

const HARMLESS_STTY =
  /^(?:-a|--all|-g|--save|-F.*|--file.*|\/dev\/.*|size|speed|sane|-?echo|-?ixon|-?onlcr|-?tostop|rows|cols|columns|\d+)$/

function disk(call: Call, report: Report): void {
  const reads =
    call.has('list', 'print', 'list-types', 'version', 'help') ||
    call.operands.some(({ text }) =>
      /^(?:print|list|status|get|show|history|iostat|subvolume-list|unit|info|id-ctrl|smart-log|luksDump|isLuks|filesystem)$/.test(
        text,
      ),
    )
  if (reads) return
  report.hazard('disk-overwrite')
  for (const operand of call.operands) if (operand.text.includes('/')) report.file(operand, ['write'])
}
