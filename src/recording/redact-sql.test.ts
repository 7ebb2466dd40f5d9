import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { redactSecretsInSql } from './redact-sql.js'

const HIDDEN: readonly string[] = [
  "CREATE ROLE app LOGIN PASSWORD 'hunter2'",
  "alter user app with encrypted password E'hunter2' valid until '2030-01-01'",
  "ALTER ROLE app PASSWORD\n-- why\n/* not */'hunter2'",
  "ALTER ROLE app PASSWORD'hunter2'",
  'ALTER ROLE app PASSWORD $$hunter2$$',
  'ALTER ROLE app PASSWORD $x$hunter2$x$; SELECT 1',
  "ALTER ROLE app PASSWORD 'a''hunter2'",
  "ALTER ROLE app PASSWORD '''hunter2'",
  "ALTER ROLE app PASSWORD 'a\\'hunter2'",
  "ALTER ROLE app PASSWORD U&'hunter2'",
  "ALTER ROLE app PASSWORD 'hunter2",
  "CREATE USER MAPPING FOR a SERVER s OPTIONS (user 'bob', password 'hunter2')",
  "CREATE USER MAPPING FOR a SERVER s OPTIONS (\"password\" 'hunter2', sslpassword 'hunter2')",
  "SELECT * FROM dblink('host=x user=y password=hunter2 dbname=z', 'select 1') AS t(a int)",
  "SELECT * FROM dblink('host=x password=''hunter2'' dbname=z', 'select 1') AS t(a int)",
  "SELECT dblink_connect('postgresql://bob:hunter2@db.example/x?sslmode=require')",
  "SELECT dblink_connect('postgresql://db.example/x?user=bob&password=hunter2')",
  "CREATE SUBSCRIPTION s CONNECTION 'host=x password = hunter2' PUBLICATION p",
  "DO $$ BEGIN EXECUTE 'ALTER ROLE app PASSWORD ''hunter2'''; END $$",
  "DO 'BEGIN EXECUTE ''ALTER ROLE app PASSWORD ''''hunter2''''''; END'",
  "UPDATE users SET password = 'hunter2', name = 'x'",
  "SET my.secret TO 'hunter2'",
  "SELECT crypt('hunter2', gen_salt('bf'))",
  "SELECT pgp_sym_encrypt(note, 'hunter2') FROM t",
  "SELECT encode(hmac(lower('a)b'), 'hunter2', 'sha256'), 'hex')",
  "CREATE USER 'a'@'%' IDENTIFIED BY 'hunter2'",
  "CREATE USER 'a'@'%' IDENTIFIED WITH mysql_native_password BY 'hunter2'",
  "SET PASSWORD FOR 'a'@'%' = PASSWORD('hunter2')",
  'CHANGE MASTER TO MASTER_PASSWORD="hunter2"',
  'SELECT \'{"api_key": "hunter2"}\'::jsonb',
  `ALTER ROLE app PASSWORD ${' '.repeat(5000)}'hunter2'`,
  `ALTER ROLE app PASSWORD /*${' '.repeat(5000)}*/ /* */ 'hunter2'`,
]

const KEPT: readonly string[] = [
  "SELECT id, password_changed_at FROM users WHERE name = 'bob'",
  'UPDATE users SET password = $1 WHERE id = $2',
  "SELECT 'a', passwords FROM t",
  'SET password_encryption = on',
  "SELECT 'https://example.org/a:b?c=d'",
  'ALTER ROLE app PASSWORD NULL',
  "SELECT key, value FROM kv WHERE key = 'a'",
]

describe('redactSecretsInSql', () => {
  it.each(HIDDEN)('REC-5 takes the secret out of: %s', (text) => {
    expect(redactSecretsInSql(text)).not.toContain('hunter2')
    expect(redactSecretsInSql(text)).toContain('[redacted]')
  })

  it.each(KEPT)('leaves as it is: %s', (text) => {
    expect(redactSecretsInSql(text)).toBe(text)
  })

  it('takes out nothing but the secret where the text is plain', () => {
    expect(redactSecretsInSql("ALTER ROLE a PASSWORD 'x' VALID UNTIL '2030-01-01'")).toBe(
      "ALTER ROLE a PASSWORD '[redacted]' VALID UNTIL '2030-01-01'",
    )
    expect(redactSecretsInSql("SELECT dblink('host=x password=y dbname=z')")).toBe(
      "SELECT dblink('host=x password=[redacted] dbname=z')",
    )
    expect(redactSecretsInSql("SELECT 'postgres://u:p@ss@h/d'")).toBe("SELECT 'postgres://u:[redacted]@h/d'")
  })

  it('REC-5 holds at every depth of nested literals', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 5 }), fc.stringMatching(/^[a-z ';]{0,6}$/), (depth, salt) => {
        const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`
        let text = `ALTER ROLE a PASSWORD ${quote(`${salt}hunter2${salt}`)}`
        for (let i = 0; i < depth; i++) text = `EXECUTE ${quote(text)}`
        expect(redactSecretsInSql(text)).not.toContain('hunter2')
      }),
    )
  })

  it('is linear in what it is given', () => {
    for (const piece of ['password/*', 'password (', "password 'a", '://a:', 'crypt(', 'password = (', "password\\'"]) {
      const text = piece.repeat(20_000)
      const before = performance.now()
      redactSecretsInSql(text)
      expect(performance.now() - before).toBeLessThan(1500)
    }
  })
})
