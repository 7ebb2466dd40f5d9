import { parseArgs } from 'node:util'
import type { TargetKind } from './ssh/types.js'

export const USAGE = `Usage: npm start -- [options]

Starts a gateway in front of a demo PostgreSQL and a demo host for SSH, and prints lines to try.

  --port N             where clients connect (default 6432; 0 takes a free one)
  --ssh-port N         where SSH clients connect (default 6422; 0 takes a free one)
  --ssh-target KIND    the host behind it: \`sshd\`, or \`built-in\` where none is installed (default: what there is)
  --approvals-port N   where people approve, on the loopback (default 6480; 0 takes a free one)
  --upstream URL       guard this PostgreSQL instead of the embedded one,
                       such as postgresql://app:secret@db.example:5432/shop?sslmode=verify-full
  --policy FILE        default: the demo policy beside this program
  --recordings DIR     default: ./.sallyport/recordings
  --data-dir DIR       where the embedded PostgreSQL and the demo host live; kept (default: temporary folders)
  --keep               keep the temporary folders
  --help

Ctrl-C tells every session, ends their records and stops the database.
`

export interface ExampleOptions {
  readonly port: number
  readonly sshPort: number
  readonly sshTarget: TargetKind | undefined
  readonly approvalsPort: number
  readonly upstream: URL | undefined
  readonly policyFile: string | undefined
  readonly recordings: string
  readonly dataDir: string | undefined
  readonly isKept: boolean
}

/** @throws Error for what is not an option, or not a value of one */
export function readOptions(args: readonly string[]): ExampleOptions | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      port: { type: 'string', default: '6432' },
      'ssh-port': { type: 'string', default: '6422' },
      'ssh-target': { type: 'string' },
      'approvals-port': { type: 'string', default: '6480' },
      upstream: { type: 'string' },
      policy: { type: 'string' },
      recordings: { type: 'string', default: '.sallyport/recordings' },
      'data-dir': { type: 'string' },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return 'help'
  return {
    port: readPort('--port', values.port),
    sshPort: readPort('--ssh-port', values['ssh-port']),
    sshTarget: readTargetKind(values['ssh-target']),
    approvalsPort: readPort('--approvals-port', values['approvals-port']),
    upstream: values.upstream === undefined ? undefined : readUpstream(values.upstream),
    policyFile: values.policy,
    recordings: values.recordings,
    dataDir: values['data-dir'],
    isKept: values.keep,
  }
}

function readPort(name: string, text: string): number {
  const port = Number(text)
  if (!/^\d+$/.test(text) || port > 65_535) throw new Error(`${name} must be a port number, got \`${text}\``)
  return port
}

function readTargetKind(text: string | undefined): TargetKind | undefined {
  if (text === undefined || text === 'sshd' || text === 'built-in') return text
  throw new Error(`--ssh-target must be sshd or built-in, got \`${text}\``)
}

function readUpstream(text: string): URL {
  // Not repeated in the message: it may have a password in it.
  if (!URL.canParse(text))
    throw new Error('--upstream must be a URL such as postgresql://user:password@host:5432/database')
  const url = new URL(text)
  if (!/^postgres(ql)?:$/.test(url.protocol)) throw new Error('--upstream must begin with postgresql://')
  if (url.username === '' || url.hostname === '') throw new Error('--upstream must name a user and a host')
  return url
}
