import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { redactSecretsInCommandLine } from './redact-command-line.js'

const HIDDEN: readonly string[] = [
  'mysql -uroot -phunter2 -h db shop',
  "mysqldump -p'hunter2' shop > dump.sql",
  'sudo -u deploy mysql --password=hunter2',
  'mysql --password hunter2',
  'my""sql -phunter2',
  'mysql \\\n  -phunter2',
  'env A=1 /usr/bin/mysqladmin -phunter2 status',
  'PGPASSWORD=hunter2 psql -h db',
  "PGPASSWORD='a hunter2' psql",
  'PGPASSWORD=a\\ hunter2 psql',
  'export AWS_SECRET_ACCESS_KEY=hunter2; aws s3 ls',
  'MYSQL_PWD="hunter2" mysql',
  "DB_PASS=$'hunter2\\'x' ./run",
  'docker run -e API_TOKEN=hunter2 image',
  'java -Ddb.password=hunter2 -jar a.jar',
  "psql 'postgresql://bob:hunter2@db/x'",
  'psql "host=db password=hunter2 dbname=x"',
  'psql -c "ALTER ROLE app PASSWORD \'hunter2\'"',
  'curl -u bob:hunter2 https://x',
  'curl -ubob:hunter2 https://x',
  'curl -su "bob:hunter2" https://x',
  'curl --user=bob:hunter2 https://x',
  "curl -H 'Authorization: Bearer hunter2' https://x",
  'curl -H "authorization: Basic hunter2" https://x',
  'curl -H Authorization:\\ Bearer\\ hunter2 https://x',
  "curl -H 'X-Api-Key: hunter2' https://x",
  "curl -H 'Cookie: session=hunter2' https://x",
  'curl --oauth2-bearer hunter2 https://x',
  'curl https://bob:hunter2@x/y',
  'git clone https://hunter2hunter2hunter2@github.com/a/b',
  'curl "https://x/?access_token=hunter2&b=c"',
  'curl -d \'{"password": "hunter2"}\' https://x',
  'bash -c "curl -d \'{\\"token\\": \\"hunter2\\"}\' https://x"',
  'sshpass -p hunter2 ssh host',
  'sshpass -phunter2 ssh host',
  "ssh host 'mysql -phunter2'",
  'ssh host "bash -c \\"mysql -p\\\\\\"a hunter2\\\\\\"\\""',
  'sudo sh -c \'echo "root:hunter2" | chpasswd\'',
  'echo hunter2 | sudo -S id',
  'echo hunter2 | docker login -u bob --password-stdin',
  "printf '%s' hunter2 | passwd --stdin bob",
  'sudo -S id <<< hunter2',
  'gh auth login --with-token <<< hunter2',
  'chpasswd <<EOF\nroot:hunter2\nEOF',
  'docker login -u bob -p hunter2 registry',
  'redis-cli -a hunter2 ping',
  'mongosh -u a -p hunter2',
  'openssl rsa -in k -passin pass:hunter2',
  'zip -P hunter2 a.zip b',
  '7z x -phunter2 a.7z',
  'useradd -p hunter2 bob',
  'smbclient -U bob%hunter2 //x/y',
  'ldapsearch -D cn=a -w hunter2',
  'kubectl create secret generic s --from-literal=k=hunter2',
  'aws configure set aws_secret_access_key hunter2',
  'vault kv put secret/x api_key=hunter2',
  'helm install a --set db.password=hunter2',
  'tool --api-key hunter2 run',
  'tool --client-secret=hunter2 run',
  'gpg --passphrase hunter2 -d f',
  'cat > k <<E\n-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n-----END OPENSSH PRIVATE KEY-----\nE',
  'env DB_PASSWORD=hunter2',
]

const KEPT: readonly string[] = [
  'ls -la /etc',
  'psql -p 5432 -U bob shop',
  'mkdir -p a/b',
  'ssh -p 2222 host uptime',
  'cp -pr a b',
  'grep -r password /etc/app',
  'cat /etc/passwd',
  'API_TOKEN=$SECRET run',
  'curl -H "Accept: text/plain" https://x/y?z=1',
  'curl -u bob https://x',
  'docker run -p 80:80 image',
  'tool --password-file /run/secret',
  'git log --author=bob',
  'mysql -h db -e "select 1"',
  'tar -czf a.tgz b && echo done',
]

describe('redactSecretsInCommandLine', () => {
  it.each(HIDDEN)('REC-5 takes the secret out of: %s', (text) => {
    expect(redactSecretsInCommandLine(text)).not.toContain('hunter2')
    expect(redactSecretsInCommandLine(text)).toContain('[redacted]')
  })

  it.each(KEPT)('leaves as it is: %s', (text) => {
    expect(redactSecretsInCommandLine(text)).toBe(text)
  })

  it('takes out nothing but the secret where the line is plain', () => {
    expect(redactSecretsInCommandLine('mysql -psecret -h db')).toBe('mysql -p[redacted] -h db')
    expect(redactSecretsInCommandLine("curl -u 'a:b' https://x")).toBe("curl -u 'a:[redacted]' https://x")
    expect(redactSecretsInCommandLine("curl -H 'Authorization: Bearer x' https://y")).toBe(
      "curl -H 'Authorization: Bearer [redacted]' https://y",
    )
    expect(redactSecretsInCommandLine('A_TOKEN="x y" run')).toBe('A_TOKEN="[redacted]" run')
    expect(redactSecretsInCommandLine("ssh h 'PGPASSWORD=x psql -l'")).toBe("ssh h 'PGPASSWORD=[redacted] psql -l'")
  })

  it('is the same when it is done again', () => {
    for (const text of HIDDEN) {
      const once = redactSecretsInCommandLine(text)
      expect(redactSecretsInCommandLine(once)).toBe(once)
    }
  })

  it('REC-5 never fails, and holds behind any other command', () => {
    const piece = fc.constantFrom(
      '"',
      "'",
      '\\',
      '$(',
      ')',
      '`',
      '<<<',
      '<<',
      '|',
      ';',
      ' ',
      '\n',
      'a',
      '=',
      '-p',
      "$'",
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        redactSecretsInCommandLine(`${pieces.join('')} mysql -psecret`)
      }),
      { numRuns: 2000 },
    )
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z =:/.-]{0,20}$/), (before) => {
        expect(redactSecretsInCommandLine(`${before}; sshpass -p hunter2 ssh h`)).not.toContain('hunter2')
      }),
    )
  })

  it('is linear in what it is given', () => {
    for (const part of [
      'a="',
      "mysql -p'",
      '\\"',
      'token=',
      '<<<',
      'x"y" ',
      'authorization: ',
      '"password": "',
      '://a:',
      '-----BEGIN PRIVATE KEY-----',
      'a|',
      "$'",
    ]) {
      const text = part.repeat(20_000)
      const before = performance.now()
      redactSecretsInCommandLine(text)
      expect(performance.now() - before, part).toBeLessThan(1500)
    }
  })
})
