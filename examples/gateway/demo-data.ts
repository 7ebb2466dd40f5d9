/** The demo's database. */
export const DATABASE = 'shop'

/** Made-up people. Numbers are of ranges that are set aside for examples, or valid by checksum only. */
export function demoSchema(): string {
  return `
    CREATE TABLE customers (
      id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      name text NOT NULL, email text NOT NULL UNIQUE, phone text, ssn text, card text, iban text, city text, notes text
    );
    CREATE TABLE orders (
      id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      customer_id int NOT NULL REFERENCES customers, item text NOT NULL, total numeric(10,2) NOT NULL,
      status text NOT NULL DEFAULT 'open', ordered_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE employees (
      id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      name text NOT NULL, email text NOT NULL, salary numeric(10,2) NOT NULL, hired date NOT NULL
    );
    INSERT INTO customers (name, email, phone, ssn, card, iban, city, notes) VALUES
      ('Ada Lovelace', 'ada@example.com', '+1 202-555-0143', '219-09-9999', '4111 1111 1111 1111', 'GB82 WEST 1234 5698 7654 32', 'London', 'calls from +1 202-555-0143'),
      ('Alan Turing', 'alan@example.com', '+1 202-555-0188', '078-05-1120', '5555 5555 5555 4444', 'DE89 3704 0044 0532 0130 00', 'Manchester', 'reach him at alan@example.com'),
      ('Grace Hopper', 'grace@example.org', '+1 202-555-0117', '457-55-5462', '3782 822463 10005', 'FR14 2004 1010 0505 0001 3M02 606', 'New York', NULL),
      ('Edsger Dijkstra', 'edsger@example.net', '+1 202-555-0162', '123-45-6789', '6011 1111 1111 1117', 'NL91 ABNA 0417 1643 00', 'Rotterdam', 'paid with 6011 1111 1111 1117');
    INSERT INTO orders (customer_id, item, total, status)
      SELECT 1 + n % 4, (ARRAY['engine','tape','compiler','graph'])[1 + n % 4], round((19.9 + n * 7.3)::numeric, 2),
             (ARRAY['open','paid','shipped'])[1 + n % 3]
      FROM generate_series(1, 40) AS n;
    INSERT INTO employees (name, email, salary, hired) VALUES
      ('Barbara Liskov', 'barbara@example.com', 125000, '2019-04-01'),
      ('Tony Hoare', 'tony@example.com', 118000, '2020-09-15'),
      ('Frances Allen', 'frances@example.com', 131000, '2018-01-08');
  `
}
