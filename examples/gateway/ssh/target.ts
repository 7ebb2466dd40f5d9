import { existsSync } from 'node:fs'
import { chmod, chown, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Account, accountWithShell, anyAccount } from './account.js'
import { startBuiltInTarget } from './built-in-target.js'
import { demoFiles } from './demo-files.js'
import { startSshd } from './sshd-target.js'
import type { DemoTarget, DemoTargetOptions, PreparedTarget, TargetKind } from './types.js'

const SSHD = '/usr/sbin/sshd'

/**
 * Starts OpenSSH's server on a free port as an ordinary user, where it is installed. Where it is not, or does not start, a small
 * server in this process takes its place. Both begin in a directory of the demo; neither is a sandbox.
 */
export async function startDemoTarget(
  options: DemoTargetOptions,
  wanted: TargetKind | undefined,
  print: (text: string) => void,
): Promise<DemoTarget> {
  const account = accountWithShell()
  if (wanted !== 'built-in' && existsSync(SSHD) && account !== undefined) {
    try {
      return await startSshd(SSHD, await prepare(options, account))
    } catch (error) {
      if (wanted === 'sshd') throw error
      print(`sshd does not start here (${error instanceof Error ? error.message.trim() : 'no reason given'})`)
    }
  }
  if (wanted === 'sshd') throw new Error(`there is no ${SSHD}, or no user but root that has a shell`)
  return startBuiltInTarget(await prepare(options, account ?? anyAccount()))
}

/** A fresh directory for the target's own files, with some to look at. */
async function prepare(options: DemoTargetOptions, account: Account): Promise<PreparedTarget> {
  const { directory } = options
  const own = async (path: string): Promise<void> => {
    if (account.ids !== undefined) await chown(path, account.ids.uid, account.ids.gid)
  }
  await rm(directory, { recursive: true, force: true })
  await mkdir(directory, { recursive: true })
  // Whatever the umask says: another user has to get in.
  await chmod(directory, 0o755)
  await own(directory)
  const home = join(directory, 'demo-host')
  for (const folder of ['', 'logs', 'incoming']) {
    await mkdir(join(home, folder))
    await own(join(home, folder))
  }
  for (const [name, text] of Object.entries(demoFiles)) {
    await writeFile(join(home, name), text)
    await own(join(home, name))
  }
  return { ...options, account, home, own }
}
