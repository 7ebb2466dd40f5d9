import { optionTable, parseOptions } from '../options.js'
import { type Call, type ProgramTable, program, programs, type Report } from '../program.js'
import type { WordValue } from '../word-value.js'
import { connects } from './support.js'

const SHELLS = 'a shell whose commands the line does not show'

const EXEC = optionTable(
  'container|c= stdin|i tty|t quiet|q detach|d env|e= env-file= user|u= workdir|w= privileged index= detach-keys= no-TTY|T rm service-ports volume|v= name= entrypoint= publish|p= network|net= mount= memory|m= cpus= pid= ipc= uts= userns= cap-add= cap-drop= security-opt= device= gpus= hostname|h= label|l= link= log-driver= restart= pull= platform= read-only init interactive add-host= dns= ulimit= tmpfs= shm-size= group-add= ip= expose= publish-all|P cidfile= health-cmd= stop-signal= volumes-from= no-deps namespace|n= pod-running-timeout= runtime= sysctl= cgroupns= attach|a= build',
)

/** `kubectl [-n ns] exec pod -c name -- command`. */
function kubectl(call: Call, report: Report): void {
  report.network({ host: undefined, direction: 'connect' })
  const [verb, ...words] = call.operands
  if (verb === undefined) return
  if (verb.text === 'exec') {
    const at = words.findIndex(({ text }) => text === '--')
    const parsed = parseOptions(at < 0 ? words : words.slice(0, at), EXEC, at < 0 ? 'posix' : 'gnu')
    const command = at < 0 ? afterName(parsed.operands) : words.slice(at + 1)
    if (command.length === 0) return report.unknown(SHELLS)
    return report.run(command, `${call.program} exec`, { isRemote: true })
  }
  const names = words.map(({ text }) => text)
  const isSecret = names.some(
    (name) => /^(?:secrets?|sa|serviceaccounts?)(?:\/|$|,)/.test(name) || /,secrets?(?:,|$)/.test(name),
  )
  if (/^(?:get|describe|edit)$/.test(verb.text) && isSecret) report.hazard('credential-file')
  if (verb.text === 'create' && names[0] === 'token') report.hazard('credential-file')
  if (verb.text === 'delete') report.hazard('destructive-delete')
  if (/^(?:drain|cordon|scale|rollout)$/.test(verb.text)) report.hazard('service-stop')
  if (/^(?:debug|attach|run)$/.test(verb.text)) {
    report.hazard('unseen-code')
    const at = words.findIndex(({ text }) => text === '--')
    if (at >= 0) report.run(words.slice(at + 1), `${call.program} ${verb.text}`, { isRemote: true, keepsCaller: true })
    else if (verb.text !== 'run') report.unknown(SHELLS)
  }
  if (/^(?:port-forward|proxy|expose)$/.test(verb.text)) report.hazard('firewall')
  if (verb.text === 'cp') report.hazard('exfiltration')
  if (/^(?:apply|create|replace|patch|edit|set)$/.test(verb.text)) report.hazard('unseen-code')
  if (
    names.some((name) => /^(?:clusterrolebinding|rolebinding|clusterrole|role)(?:\/|$)/.test(name)) &&
    verb.text !== 'get' &&
    verb.text !== 'describe'
  )
    report.hazard('privilege-change')
  if (names.some((name) => /^--as(?:-group)?(?:=|$)/.test(name))) report.privileged()
  if (/^(?:apply|create|delete|replace|patch|diff|set|edit)$/.test(verb.text)) fileValues(words, report)
}

/** Without `--` the first operand is the container or pod. */
function afterName(operands: readonly WordValue[]): readonly WordValue[] {
  const rest = operands.slice(1)
  return rest[0]?.text === '--' ? rest.slice(1) : rest
}

function fileValues(words: readonly WordValue[], report: Report): void {
  words.forEach(({ text }, index) => {
    const value = words[index + 1]
    if (
      /^(?:-f|--filename|--kubeconfig|-k|--file)$/.test(text) &&
      value !== undefined &&
      value.text !== '-' &&
      !/^https?:/.test(value.text)
    )
      report.file(value, ['read'])
    if (/^-f$|^--filename/.test(text) && value !== undefined && /^https?:/.test(value.text))
      report.hazard('download-and-run')
  })
}

function docker(call: Call, report: Report): void {
  let [verb, ...words] = call.operands
  if (
    verb !== undefined &&
    /^(?:container|image|volume|network|system|compose|builder|buildx|context|swarm|node|service|stack|secret)$/.test(
      verb.text,
    ) &&
    words[0] !== undefined
  ) {
    if (verb.text === 'secret') report.hazard('credential-file')
    if (verb.text === 'compose') words = [...parseOptions(words, COMPOSE, 'posix').operands]
    ;[verb, ...words] = words
  }
  const name = verb?.text ?? ''
  if (call.has('host', 'context')) report.network({ host: undefined, direction: 'connect' })
  if (name === 'exec' || name === 'run' || name === 'create') {
    const parsed = parseOptions(words, EXEC, 'posix')
    const command = afterName(parsed.operands)
    for (const { spec, word } of parsed.values) mounts(spec.name, word, report)
    if (parsed.flags.has('privileged') || parsed.flags.has('cap-add') || parsed.flags.has('device')) {
      report.privileged()
      report.hazard('privilege-change')
    }
    if (parsed.flags.has('publish') || parsed.flags.has('publish-all')) report.hazard('firewall')
    const entry = parsed.values.findLast(({ spec }) => spec.name === 'entrypoint')?.word
    if (name !== 'exec') report.hazard('unseen-code')
    if (entry !== undefined)
      return report.run([entry, ...command], `${call.program} ${name}`, {
        isRemote: true,
        keepsCaller: name !== 'exec',
      })
    if (command.length > 0)
      return report.run(command, `${call.program} ${name}`, { isRemote: true, keepsCaller: name !== 'exec' })
    if (name === 'exec') report.unknown(SHELLS)
    return
  }
  if (/^(?:rm|rmi|prune|down)$/.test(name)) report.hazard('destructive-delete')
  if (/^(?:stop|kill|restart|pause|down|rm|scale)$/.test(name)) report.hazard('service-stop')
  if (/^(?:build|up|load|import|start|plugin)$/.test(name)) report.hazard('unseen-code')
  if (/^(?:push|save|export|cp)$/.test(name)) report.hazard('exfiltration')
  if (name === 'attach') report.unknown(SHELLS)
  if (name === 'cp')
    for (const word of words) if (!/^[^/]+:/.test(word.text)) report.file(word, ['read', 'write', 'create'], true)
}

const COMPOSE = optionTable(
  'file|f= project-name|p= profile= env-file= project-directory= ansi= compatibility progress= parallel= dry-run',
)

function mounts(option: string, word: WordValue, report: Report): void {
  const source =
    option === 'volume'
      ? /^([/~.][^:]*)/.exec(word.text)?.[1]
      : option === 'mount'
        ? /(?:source|src)=([^,]+)/.exec(word.text)?.[1]
        : undefined
  if (option === 'env-file') report.file(word, ['read'])
  if (/^(?:pid|network|ipc|userns|uts)$/.test(option) && word.text === 'host') report.privileged()
  if (source === undefined) return
  report.file({ ...word, text: source, shape: source }, ['read', 'write', 'create'], true)
  if (/^\/(?:etc|root|proc|sys|boot|dev|var\/run\/docker\.sock|run\/docker\.sock|var)?\/?$|docker\.sock/.test(source))
    report.hazard('privilege-change')
}

const KUBECTL_OPTIONS =
  'namespace|n= context= cluster= kubeconfig=@read user= server|s= token= as= as-group= request-timeout= v= certificate-authority=@read client-key=@read insecure-skip-tls-verify'

export const CONTAINERS: ProgramTable = {
  ...programs('kubectl oc k3s-kubectl', program({ style: 'posix', options: KUBECTL_OPTIONS, inspect: kubectl })),
  ...programs(
    'docker podman nerdctl docker-compose podman-compose',
    program({
      style: 'posix',
      options: 'host|H= context|c= config= debug|D log-level|l= tls tlsverify remote|r file|f= project-name|p=',
      inspect: docker,
    }),
  ),
  ...programs(
    'crictl ctr runc crun',
    program({
      style: 'posix',
      options: 'runtime-endpoint|r= namespace|n= address|a= timeout|t= root=',
      inspect: docker,
    }),
  ),
  ...programs(
    'lxc lxc-attach incus virsh machinectl systemd-nspawn vagrant multipass minikube kind k3s',
    program({
      style: 'posix',
      options: 'n= name= D= directory= machine|M= u= user= connect|c=',
      inspect: (call, report) => {
        const at = call.operands.findIndex(({ text }) => text === '--')
        if (at >= 0) return report.run(call.operands.slice(at + 1), call.program, { isRemote: true })
        if (
          /^(?:exec|shell|attach|console|login|ssh)$/.test(call.operands[0]?.text ?? '') ||
          /attach|nspawn/.test(call.program)
        )
          report.unknown(SHELLS)
        if (/^(?:destroy|delete|stop|halt|undefine|poweroff|terminate|remove)$/.test(call.operands[0]?.text ?? ''))
          report.hazard('service-stop')
      },
    }),
  ),
  helm: program({
    style: 'posix',
    options: 'namespace|n= kube-context= kubeconfig=@read debug',
    inspect: (call, report) => {
      const verb = call.operands[0]?.text ?? ''
      if (/^(?:uninstall|delete|rollback)$/.test(verb)) report.hazard('service-stop')
      if (/^(?:install|upgrade|template|plugin)$/.test(verb)) report.hazard('unseen-code')
      report.network({ host: undefined, direction: 'connect' })
    },
  }),
  ...programs(
    'aws gcloud az gsutil s3cmd rclone mc doctl oci ibmcloud hcloud linode-cli flyctl heroku',
    program({ options: 'region= profile= output= query= recursive r quiet q', inspect: cloud }),
  ),
  ...programs(
    'terraform tofu pulumi terragrunt',
    program({
      options: 'chdir= auto-approve var= var-file=@read out=@write input= lock= target= destroy',
      style: 'long',
      inspect: (call, report) => {
        report.hazard('unseen-code')
        if (/^(?:destroy|down)$/.test(call.operands[0]?.text ?? '') || call.has('destroy'))
          report.hazard('destructive-delete')
      },
    }),
  ),
  ...programs(
    'vault op bw pass gopass sops age gpg gpg2 secret-tool keyctl security',
    program({
      options:
        'o|output=@write i=@read d|decrypt e|encrypt c r= a export-secret-keys export export-secret-subkeys import list-keys verify armor sign list-secret-keys k K field= format= address=',
      inspect: (call, report) => {
        const verb = call.operands[0]?.text ?? ''
        const isTool = !/^(?:gpg2?|age)$/.test(call.program)
        if (isTool && !/^(?:status|version|help|login|init|ls|list)$/.test(verb)) report.hazard('credential-file')
        if (call.has('export-secret-keys', 'export-secret-subkeys', 'd')) report.hazard('credential-file')
        if (/^gpg|age|sops/.test(call.program))
          for (const file of call.operands) if (/[/.]/.test(file.text)) report.file(file, ['read'])
        if (call.program === 'vault') report.network({ host: undefined, direction: 'connect' })
      },
    }),
  ),
  ...programs(
    'ansible ansible-playbook salt salt-call puppet chef-client fab pssh pdsh clush',
    program({
      options: 'm= a= i=@read b K k u= l= e= limit= become check diff tags= h= H=',
      hazards: ['unseen-code'],
      inspect: (call, report) => {
        report.network({ host: undefined, direction: 'connect' })
        const text = call.value('a')
        if (text?.isKnown === true && /^(?:shell|command|raw)?$/.test(call.value('m')?.text ?? ''))
          report.script(text, call.program, { isRemote: true, keepsCaller: true, isOpen: true })
        report.conservative()
        if (call.has('b', 'become')) report.privileged()
        if (call.program === 'ansible-playbook') for (const file of call.operands) report.file(file, ['read'])
        else if (/^(?:pssh|pdsh|clush)$/.test(call.program))
          for (const name of call.operands.slice(0, 1)) connects(report, name)
      },
    }),
  ),
}

function cloud(call: Call, report: Report): void {
  report.network({ host: undefined, direction: 'connect' })
  const texts = call.operands.map(({ text }) => text)
  const line = texts.join(' ')
  if (/\b(?:cp|sync|mv|put|rsync|copy|copyto|move|upload)\b/.test(line)) {
    const paths = call.operands.filter(({ text }) => /^(?:\.{0,2}\/|~|[\w.-]+\/|[\w-]+\.\w+$|s3:|gs:)/.test(text))
    const isRemote = (text: string | undefined): boolean => /^(?:s3|gs|az|oci):\/\/|^[\w-]+:/.test(text ?? '')
    paths.forEach((path, index) => {
      if (!isRemote(path.text))
        report.file(
          path,
          index === paths.length - 1 && paths.length > 1 ? ['write', 'create'] : ['read'],
          call.has('recursive', 'r') || line.includes('sync'),
        )
    })
    if (isRemote(texts.at(-1)) || isRemote(paths.at(-1)?.text)) report.hazard('exfiltration')
    else report.fetches()
  }
  if (/\b(?:rm|rb|delete|delete-[a-z-]+|terminate-instances|purge|destroy|deleteobject|remove)\b/.test(line))
    report.hazard('destructive-delete')
  if (/\b(?:stop-instances|stop|deallocate|reboot-instances)\b/.test(line)) report.hazard('service-stop')
  if (/authorize-security-group|firewall-rules|nsg rule/.test(line)) report.hazard('firewall')
  if (
    /get-secret-value|get-parameter|secrets versions access|print-access-token|get-access-token|get-session-token|assume-role|keyvault secret|create-access-key|get-login-password|auth print/.test(
      line,
    )
  )
    report.hazard('credential-file')
  if (
    /attach-(?:user|role|group)-policy|put-user-policy|create-user|add-iam-policy-binding|role assignment create/.test(
      line,
    )
  )
    report.hazard('privilege-change')
  if (/\bssm (?:send-command|start-session)|compute ssh|ecs execute-command|vm run-command/.test(line))
    report.unknown('a command for other machines')
}
