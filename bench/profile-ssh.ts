import { OpenSshConnection } from './openssh.js'
import { profiled } from './profile.js'
import type { SshWorld } from './ssh-world.js'

const MEBIBYTES = 512

/** The same for SSH: the gateway's time, and the bare relay's beside it. */
export async function profileSshGateway(world: SshWorld, print: (text: string) => void): Promise<void> {
  const relay = await world.startRelay(world.empty)
  const gateway = await world.startGateway(world.empty)
  for (const { contender, child } of [relay, gateway]) {
    const { name, port, user } = contender
    const execs = { ask: 'execs', port, user, command: 'true', count: 3_000, parallel: 8 }
    await world.client.ask(execs)
    await profiled(child, `${name}: commands, 8 at a time`, print, async () => {
      await world.client.ask(execs)
    })
  }
  const ways = [
    { proxy: relay, user: relay.contender.user, kinds: ['log'] },
    { proxy: gateway, user: 'open', kinds: ['log'] },
    { proxy: gateway, user: 'masked', kinds: ['log', 'coloured'] },
  ]
  for (const { proxy, user, kinds } of ways) {
    const connection = await OpenSshConnection.open(world, { ...proxy.contender, user })
    for (const kind of kinds) {
      const command = `bytes ${kind} ${MEBIBYTES}`
      await connection.run(command)
      await profiled(proxy.child, `${proxy.contender.name}: ${kind} text as ${user}`, print, async () => {
        await connection.run(command)
      })
    }
    await connection.close()
  }
}
