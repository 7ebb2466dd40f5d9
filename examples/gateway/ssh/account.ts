import { readFileSync } from 'node:fs'
import { userInfo } from 'node:os'

/** Who the demo's target runs commands as. */
export interface Account {
  readonly name: string
  readonly shell: string
  /** Given where we are root and somebody else has to be found: nothing of the demo runs as root. */
  readonly ids?: { readonly uid: number; readonly gid: number }
}

/** Somebody with a shell, whom sshd would let in. */
export function accountWithShell(): Account | undefined {
  return accounts().find(({ shell }) => /\/(?:ba|da|z|k)?sh$/.test(shell))
}

/** Anybody but root. */
export function anyAccount(): Account {
  const found = accounts()
  const account = found.find(({ name }) => name === 'nobody') ?? found[0]
  if (account === undefined) throw new Error('nothing of the demo runs as root, and there is no other user')
  return account
}

function accounts(): readonly Account[] {
  if (process.getuid?.() !== 0) {
    const { username, shell } = userInfo()
    return [{ name: username, shell: shell ?? '/bin/sh' }]
  }
  return readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .filter(([, , uid]) => /^[1-9]\d*$/.test(uid ?? ''))
    .map(([name = '', , uid, gid, , , shell = '']) => ({ name, shell, ids: { uid: Number(uid), gid: Number(gid) } }))
}
