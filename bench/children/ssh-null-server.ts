import { type AddressInfo, createServer } from 'node:net'
import ssh2 from 'ssh2'
import { sshAlgorithms } from '../../src/gateway/ssh/algorithms.js'
import { answerParent, readConfig } from './answering.js'
import { benchText, isTextKind, MEBIBYTE } from './ssh-texts.js'

/**
 * A target that starts no programs: what commands and bulk cost between client and target, without a process for each.
 *
 * `bytes KIND COUNT` says so many MiB of one of the texts, `sink` reads to the end of its input, anything else says `ok`.
 */
const { hostKey } = readConfig<{ hostKey: string }>()

const acceptor = new ssh2.Server({ hostKeys: [hostKey], algorithms: sshAlgorithms() }, (client) => {
  client.on('error', () => client.end())
  client.on('authentication', (context) => {
    if (context.method === 'publickey') context.accept()
    else context.reject(['publickey'])
  })
  client.on('session', (accept) => {
    accept().on('exec', (acceptExec, _reject, { command }) => run(acceptExec(), command))
  })
})

function run(channel: ssh2.ServerChannel, command: string): void {
  const [program, kind = '', count] = command.split(' ')
  const done = (): void => {
    channel.exit(0)
    channel.end()
  }
  if (program === 'sink') {
    channel.resume().once('end', done)
  } else if (program === 'bytes' && isTextKind(kind)) {
    channel.resume()
    say(channel, benchText(kind), Number(count), done)
  } else {
    channel.resume()
    channel.write('ok\n')
    done()
  }
}

function say(channel: ssh2.ServerChannel, text: Buffer, count: number, done: () => void): void {
  let left = count * (MEBIBYTE / text.length)
  const fill = (): void => {
    while (left > 0) {
      left--
      if (!channel.write(text) && left > 0) {
        channel.once('drain', fill)
        return
      }
    }
    done()
  }
  fill()
}

// Of its own sockets ssh2 leaves the delay on.
const server = createServer({ noDelay: true }, (socket) => acceptor.injectSocket(socket))
server.listen(0, '127.0.0.1', 1024, () => {
  answerParent({ port: (server.address() as AddressInfo).port }, {})
})
