/** What there is to look at on the demo's host. Made-up people, with numbers that are set aside for examples. */
export const demoFiles: Readonly<Record<string, string>> = {
  'readme.txt': 'This is the host behind the gateway.\nNothing here is real.\n',
  'customers.csv': [
    'id,name,email,card',
    '1,Ada Lovelace,ada@example.com,4111 1111 1111 1111',
    '2,Alan Turing,alan@example.com,5555 5555 5555 4444',
    '',
  ].join('\n'),
  'logs/app.log': [
    '2026-03-01T10:00:00Z info started',
    '2026-03-01T10:00:07Z info mail sent to grace@example.com',
    '2026-03-01T10:02:11Z warning queue is long: 118 jobs',
    '2026-03-01T10:05:40Z error worker 3 ended with status 137',
    '',
  ].join('\n'),
}
