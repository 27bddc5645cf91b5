// What the documentation of node's mysql2 promises, a test for each; writes down what became of
// them, as `read_lines` reads it. The package comes without tests.

import assert from "node:assert/strict";
import { appendFileSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Readable } from "node:stream";

const fetch = createRequire(process.env.MODULES + "/");
const mysql = fetch("mysql2/promise");
const plain = fetch("mysql2");

const { env } = process;
const server = {
  host: env.MYSQL_SUITE_HOST,
  port: Number(env.MYSQL_SUITE_PORT),
  user: env.MYSQL_SUITE_USER,
  password: env.MYSQL_SUITE_PASSWORD,
  database: env.MYSQL_SUITE_DATABASE,
};
const secure = { ssl: { ca: readFileSync(env.AUTHORITY) } };

async function connected(options, use) {
  const connection = await mysql.createConnection({ ...server, ...options });
  try {
    await use(connection);
  } finally {
    connection.destroy();
  }
}

async function filled(options, columns, use) {
  await connected(options, async (connection) => {
    await connection.query("DROP TABLE IF EXISTS t");
    await connection.query(`CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, ${columns})`);
    await use(connection);
  });
}

const TESTS = {
  "a text's rows and their columns": () =>
    connected({}, async (c) => {
      const [rows, fields] = await c.query("SELECT 1 AS one, 'x' AS two, NULL AS three");
      assert.deepEqual({ ...rows[0] }, { one: 1, two: "x", three: null });
      assert.deepEqual(fields.map((field) => field.name), ["one", "two", "three"]);
    }),
  "placeholders of a text": () =>
    connected({}, async (c) => {
      const [rows] = await c.query("SELECT ? AS a, ? AS b", [1, "it's"]);
      assert.deepEqual({ ...rows[0] }, { a: 1, b: "it's" });
    }),
  "named placeholders": () =>
    connected({ namedPlaceholders: true }, async (c) => {
      const [rows] = await c.execute("SELECT :a + :b AS sum", { a: 1, b: 2 });
      assert.equal(Number(rows[0].sum), 3);
    }),
  "values of a prepared statement": () =>
    filled({}, "n INT, s VARCHAR(20), b BLOB, d DATETIME(3), j JSON", async (c) => {
      const when = new Date("2026-02-03T04:05:06.789Z");
      const values = [7, "żółw", Buffer.from([0, 255]), when, JSON.stringify({ a: [1] })];
      await c.execute("INSERT INTO t (n, s, b, d, j) VALUES (?, ?, ?, ?, ?)", values);
      const [[row]] = await c.execute("SELECT n, s, b, d FROM t WHERE n = ?", [7]);
      assert.deepEqual([row.n, row.s, row.b, row.d.getTime()], [7, "żółw", values[2], +when]);
    }),
  "values of other kinds for a prepared statement": () =>
    filled({}, "s VARCHAR(20)", async (c) => {
      for (const value of [1, "two", 3.5, null, 10n, true]) {
        await c.execute("INSERT INTO t (s) VALUES (?)", [value]);
      }
      const [rows] = await c.query("SELECT s FROM t ORDER BY id");
      assert.equal(rows.length, 6);
      assert.equal(rows[3].s, null);
    }),
  "a statement prepared, run, and closed": () =>
    connected({}, async (c) => {
      const statement = await c.prepare("SELECT ? + 1 AS n");
      for (const n of [1, 2, 3]) {
        const [rows] = await statement.execute([n]);
        assert.equal(Number(rows[0].n), n + 1);
      }
      await statement.close();
    }),
  "a statement unprepared, and run again": () =>
    connected({}, async (c) => {
      await c.execute("SELECT ? AS n", [1]);
      c.unprepare("SELECT ? AS n");
      const [rows] = await c.execute("SELECT ? AS n", [2]);
      assert.equal(Number(rows[0].n), 2);
    }),
  "more statements than the driver keeps": () =>
    connected({ maxPreparedStatements: 4 }, async (c) => {
      for (const round of [0, 1]) {
        for (let i = 0; i < 12; i++) {
          const [rows] = await c.execute(`SELECT ? + ${i} AS n`, [round]);
          assert.equal(Number(rows[0].n), round + i);
        }
      }
    }),
  "a mistake in a prepared statement": () =>
    connected({}, async (c) => {
      await assert.rejects(c.execute("SELECT FROM"), { code: "ER_PARSE_ERROR", errno: 1064 });
      const [rows] = await c.execute("SELECT 1 AS n");
      assert.equal(rows[0].n, 1);
    }),
  "rows as arrays": () =>
    connected({ rowsAsArray: true }, async (c) => {
      const [rows] = await c.query("SELECT 1, 1, 2");
      assert.deepEqual(rows, [[1, 1, 2]]);
    }),
  "rows under their tables' names": () =>
    filled({ nestTables: true }, "n INT", async (c) => {
      await c.query("INSERT INTO t (n) VALUES (4)");
      const [rows] = await c.query("SELECT t.n FROM t");
      assert.equal(rows[0].t.n, 4);
    }),
  "large numbers and decimals": () =>
    connected({ supportBigNumbers: true }, async (c) => {
      const [rows] = await c.query("SELECT 18446744073709551615 AS b, 1.10 AS d");
      assert.deepEqual({ ...rows[0] }, { b: "18446744073709551615", d: "1.10" });
    }),
  "dates as texts": () =>
    connected({ dateStrings: true }, async (c) => {
      const [rows] = await c.query("SELECT CAST('2026-02-03 04:05:06' AS DATETIME) AS d");
      assert.equal(rows[0].d, "2026-02-03 04:05:06");
    }),
  "a cast of one's own": () =>
    connected({ typeCast: (field, next) => (field.type === "LONG" ? "n" : next()) }, async (c) => {
      const [rows] = await c.query("SELECT CAST(1 AS CHAR) AS s");
      assert.equal(rows[0].s, "1");
    }),
  "numbers of an INSERT and an UPDATE": () =>
    filled({}, "n INT", async (c) => {
      const [first] = await c.query("INSERT INTO t (n) VALUES (1), (2)");
      assert.deepEqual([first.insertId, first.affectedRows], [1, 2]);
      assert.match(first.info, /Records: 2/);
      const [second] = await c.query("UPDATE t SET n = 2");
      assert.deepEqual([second.affectedRows, second.changedRows], [2, 1]);
      const [third] = await c.execute("INSERT INTO t (n) VALUES (?)", [9]);
      assert.equal(third.insertId, 3);
    }),
  "many rows at once": () =>
    filled({}, "n INT, s TEXT", async (c) => {
      const rows = Array.from({ length: 500 }, (_, i) => [i, "x".repeat(i)]);
      await c.query("INSERT INTO t (n, s) VALUES ?", [rows]);
      const [[found]] = await c.query("SELECT COUNT(*) AS n, SUM(LENGTH(s)) AS l FROM t");
      assert.deepEqual([found.n, Number(found.l)], [500, (499 * 500) / 2]);
    }),
  "several statements in one text": () =>
    connected({ multipleStatements: true }, async (c) => {
      const [results] = await c.query("SELECT 1 AS a; DO 0; SELECT 2 AS b");
      assert.equal(results[0][0].a, 1);
      assert.equal(results[1].affectedRows, 0);
      assert.equal(results[2][0].b, 2);
    }),
  "several statements without leave": () =>
    connected({}, (c) => assert.rejects(c.query("SELECT 1; SELECT 2"), { errno: 1064 })),
  "results of a procedure": () =>
    connected({}, async (c) => {
      await c.query("DROP PROCEDURE IF EXISTS p");
      await c.query("CREATE PROCEDURE p(n INT) BEGIN SELECT n AS a; SELECT n + 1 AS b; END");
      for (const [results] of [await c.query("CALL p(3)"), await c.execute("CALL p(?)", [3])]) {
        assert.deepEqual([results[0][0].a, Number(results[1][0].b)], [3, 4]);
        assert.equal(results.length, 3);
      }
    }),
  "a transaction that is rolled back": () =>
    filled({}, "n INT", async (c) => {
      await c.beginTransaction();
      await c.query("INSERT INTO t (n) VALUES (1)");
      await c.rollback();
      await c.beginTransaction();
      await c.execute("INSERT INTO t (n) VALUES (?)", [2]);
      await c.commit();
      const [rows] = await c.query("SELECT n FROM t");
      assert.deepEqual(rows.map((row) => row.n), [2]);
    }),
  "an error's code, number, state and message": () =>
    filled({}, "n INT UNIQUE", async (c) => {
      await c.query("INSERT INTO t (n) VALUES (1)");
      await assert.rejects(c.query("INSERT INTO t (n) VALUES (1)"), {
        code: "ER_DUP_ENTRY",
        errno: 1062,
        sqlState: "23000",
        sqlMessage: /Duplicate entry '1' for key/,
      });
    }),
  "warnings are counted": () =>
    connected({}, async (c) => {
      const [result] = await c.query("DROP TABLE IF EXISTS of_nobody");
      assert.equal(result.warningStatus, 1);
      const [rows] = await c.query("SHOW WARNINGS");
      assert.equal(rows[0].Code, 1051);
    }),
  "a session's settings and variables": () =>
    connected({}, async (c) => {
      await c.query("SET @mine = 5, time_zone = '+03:00', sql_mode = 'ANSI_QUOTES'");
      const [rows] = await c.query('SELECT @mine AS "m", @@time_zone AS "z", @@sql_mode AS "s"');
      assert.deepEqual({ ...rows[0] }, { m: 5, z: "+03:00", s: "ANSI_QUOTES" });
    }),
  "another user of another database": () =>
    connected({}, async (c) => {
      await c.query("CREATE DATABASE IF NOT EXISTS elsewhere");
      await c.query("SET @mine = 5");
      await c.changeUser({ database: "elsewhere" });
      const [rows] = await c.query("SELECT DATABASE() AS d, @mine AS m");
      assert.deepEqual({ ...rows[0] }, { d: "elsewhere", m: null });
    }),
  "a wrong password": () =>
    assert.rejects(mysql.createConnection({ ...server, password: "wrong" }), {
      code: "ER_ACCESS_DENIED_ERROR",
      errno: 1045,
    }),
  "a wrong database": () =>
    assert.rejects(mysql.createConnection({ ...server, database: "nowhere" }), { errno: 1049 }),
  "TLS": () =>
    connected(secure, async (c) => {
      const [rows] = await c.query("SELECT 1 AS n");
      assert.equal(rows[0].n, 1);
    }),
  "compression": () =>
    filled({ compress: true }, "s LONGTEXT", async (c) => {
      await c.query("INSERT INTO t (s) VALUES (?)", ["ab".repeat(100000)]);
      const [[row]] = await c.query("SELECT s FROM t");
      assert.equal(row.s.length, 200000);
    }),
  "a ping": () => connected({}, (c) => c.ping()),
  "statements sent without waiting": () =>
    filled({}, "n INT", async (c) => {
      const sent = Array.from({ length: 30 }, (_, i) =>
        i % 3 ? c.execute("SELECT ? AS n", [i]) : c.query("INSERT INTO t (n) VALUES (?)", [i]),
      );
      const results = await Promise.all(sent);
      assert.equal(Number(results[29][0][0].n), 29);
      const [[found]] = await c.query("SELECT COUNT(*) AS n FROM t");
      assert.equal(found.n, 10);
    }),
  "a file of one's own": () =>
    filled({}, "n INT", async (c) => {
      const [result] = await c.query({
        sql: "LOAD DATA LOCAL INFILE 'any' INTO TABLE t LINES TERMINATED BY ',' (n)",
        infileStreamFactory: () => Readable.from([Buffer.from("1,2"), Buffer.from(",3")]),
      });
      assert.equal(result.affectedRows, 3);
    }),
  "rows as they come": () =>
    new Promise((resolve, reject) => {
      const c = plain.createConnection(server);
      let sum = 0;
      const text = "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 900)";
      c.query(`${text} SELECT n, REPEAT('x', 5000) AS s FROM r`)
        .stream()
        .on("data", (row) => (sum += row.n))
        .on("error", reject)
        .on("end", () => {
          c.destroy();
          sum === (900 * 901) / 2 ? resolve() : reject(new Error(sum));
        });
    }),
  "a packet of more than 16 MB": () =>
    filled({}, "s LONGTEXT", async (c) => {
      const text = "x".repeat(17 * 1024 * 1024);
      await c.query("INSERT INTO t (s) VALUES (?)", [text]);
      const [[row]] = await c.query("SELECT s FROM t");
      assert.ok(row.s === text);
    }),
  "the number of a connection, and its end": () =>
    connected({}, async (other) => {
      await connected({}, async (c) => {
        const [[row]] = await c.query("SELECT CONNECTION_ID() AS id");
        assert.equal(row.id, c.threadId);
        c.on("error", () => {});
        await other.query("KILL " + c.threadId);
        await assert.rejects(c.query("SELECT 1").then(() => c.query("SELECT 2")));
      });
    }),
  "a pool": async () => {
    const pool = mysql.createPool({ ...server, connectionLimit: 3 });
    const asked = Array.from({ length: 20 }, (_, i) => pool.execute("SELECT ? AS n", [i]));
    const found = (await Promise.all(asked)).map(([rows]) => Number(rows[0].n));
    assert.deepEqual(found, Array.from({ length: 20 }, (_, i) => i));
    await pool.end();
  },
  "a statement that takes too long": () =>
    connected({}, (c) =>
      assert.rejects(c.query({ sql: "SELECT SLEEP(5)", timeout: 300 }), {
        code: "PROTOCOL_SEQUENCE_TIMEOUT",
      }),
    ),
  "attributes of a connection": () =>
    connected({ connectAttributes: { program: "suite" } }, (c) => c.query("SELECT 1")),
  "rows of another character set": () =>
    connected({ charset: "latin1" }, async (c) => {
      const [[row]] = await c.query("SELECT 'é' AS s, @@character_set_client AS set_");
      assert.deepEqual({ ...row }, { s: "é", set_: "latin1" });
    }),
};

const PATIENCE = 20000;

for (const [name, test] of Object.entries(TESTS)) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("it takes too long")), PATIENCE);
  });
  let outcome = "passed";
  try {
    await Promise.race([test(), late]);
  } catch (error) {
    outcome = "failed";
    console.log(`${name}: ${error.stack}`);
  }
  clearTimeout(timer);
  appendFileSync(env.OUTCOMES, JSON.stringify([name, outcome]) + "\n");
}
process.exit(0);
