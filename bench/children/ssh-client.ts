import ssh2 from 'ssh2'
import { sshAlgorithms } from '../../src/gateway/ssh/algorithms.js'
import type { Answer, Question } from '../child.js'
import { answerParent, readConfig } from './answering.js'
import { connectClient } from './ssh-connect.js'

/** A client of many connections: how long commands and log-ins take as an agent's client sees them. */
const { privateKey } = readConfig<{ privateKey: string }>()
const algorithms = sshAlgorithms()

function open(port: number, username: string): Promise<ssh2.Client> {
  return new Promise((resolve, reject) => {
    const client = new ssh2.Client()
    client.on('error', reject)
    client.on('ready', () => resolve(client))
    connectClient(client, port, { username, privateKey, algorithms })
  })
}

function close(client: ssh2.Client): Promise<void> {
  return new Promise((resolve) => {
    client.once('close', () => resolve())
    client.end()
  })
}

/** From the request for a channel to the end of what ran in it. */
function exec(client: ssh2.Client, command: string): Promise<void> {
  return new Promise((resolve, reject) => {
    client.exec(command, (error, channel) => {
      if (error) return reject(error)
      channel.resume()
      channel.stderr.resume()
      channel.on('close', (code: number | null) => {
        if (code === 0) resolve()
        else reject(new Error(`\`${command}\` ended with ${code}`))
      })
    })
  })
}

const connections = new Map<string, Promise<ssh2.Client>>()

function connection(question: Question): Promise<ssh2.Client> {
  const { port, user } = question
  const name = `${user}@${port}`
  let found = connections.get(name)
  if (found === undefined) {
    found = open(Number(port), String(user))
    connections.set(name, found)
  }
  return found
}

/** Runs a command `count` times on a connection that stays open, `parallel` at a time. */
async function execs(question: Question): Promise<Answer> {
  const client = await connection(question)
  const samples: number[] = []
  let left = Number(question.count)
  const worker = async (): Promise<void> => {
    while (left-- > 0) {
      const started = performance.now()
      await exec(client, String(question.command))
      samples.push(performance.now() - started)
    }
  }
  const started = performance.now()
  await Promise.all(Array.from({ length: Number(question.parallel) }, worker))
  return { ms: performance.now() - started, samples }
}

/** Logs in, runs a command and leaves, `count` times, one after the other. */
async function connects(question: Question): Promise<Answer> {
  const samples: number[] = []
  for (let i = 0; i < Number(question.count); i++) {
    const started = performance.now()
    const client = await open(Number(question.port), String(question.user))
    await exec(client, String(question.command))
    samples.push(performance.now() - started)
    await close(client)
  }
  return { samples }
}

const idle: ssh2.Client[] = []

/** Opens `count` connections that run one command each and then stay. */
async function hold(question: Question): Promise<Answer> {
  for (let i = 0; i < Number(question.count); i++) {
    const client = await open(Number(question.port), String(question.user))
    await exec(client, String(question.command))
    idle.push(client)
  }
  return {}
}

async function letGo(): Promise<Answer> {
  await Promise.all(idle.splice(0).map(close))
  return {}
}

answerParent({}, { execs, connects, hold, letGo })
