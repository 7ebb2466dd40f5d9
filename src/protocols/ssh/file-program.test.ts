import { expect, it } from 'vitest'
import { createShellAnalyzer } from '../../analysis/shell/index.js'
import { fileProgram, hidesFileProgram } from './file-program.js'

const analyzer = createShellAnalyzer()

it.each(['sftp-server', '/usr/lib/openssh/sftp-server -R', 'internal-sftp', 'scp -t /srv', 'scp -r -f -- /srv/a'])(
  'is watched where it is alone in its line: %s',
  (text) => expect(fileProgram(text, analyzer.analyze(text))).toBeDefined(),
)

it.each([
  'nice sftp-server',
  'sudo /usr/lib/openssh/sftp-server',
  'cd /etc && sftp-server',
  'sftp-server < requests',
  'cat requests | sftp-server',
  'sftp-server; true',
  "sh -c 'scp -t /etc'",
  'env A=b scp -t /etc',
  'scp -t /etc < file',
])('SSH-2 is known to hide elsewhere: %s', (text) => {
  const facts = analyzer.analyze(text)
  expect(fileProgram(text, facts)).toBeUndefined()
  expect(facts.certainty === 'unparsed' || hidesFileProgram(facts)).toBe(true)
})

it.each(['ls', 'scp a b:c', 'ssh host sftp-server', 'echo sftp-server'])('is nothing else: %s', (text) => {
  const facts = analyzer.analyze(text)
  expect(fileProgram(text, facts)).toBeUndefined()
  expect(hidesFileProgram(facts)).toBe(false)
})
