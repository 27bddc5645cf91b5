"""MariaDB's own programs: the client, dumps, and what a dump makes when it is loaded again.

A test's name has a digest of what was printed, so what differs through the proxy is a test that is
not there. Writes what became of each as `read_lines` reads it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ENVIRONMENT: Final = os.environ
DATABASE: Final = ENVIRONMENT["MYSQL_SUITE_DATABASE"]
OPTIONS: Final = Path(ENVIRONMENT["OUTCOMES"]).with_suffix(".cnf")

SCHEMA: Final = """
CREATE TABLE author (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(40) NOT NULL) COMMENT 'who';
CREATE TABLE book (
  id INT PRIMARY KEY AUTO_INCREMENT, author INT NOT NULL, title VARCHAR(80), price DECIMAL(9,2),
  cover BLOB, made TIMESTAMP NULL DEFAULT NULL, facts LONGTEXT, KEY (title),
  CONSTRAINT wrote FOREIGN KEY (author) REFERENCES author (id) ON DELETE CASCADE
);
CREATE TABLE empty_one (a BIT(3), b ENUM('x','y'), c SET('p','q'), d YEAR, PRIMARY KEY (d));
CREATE VIEW shelf AS SELECT a.name, b.title FROM author a JOIN book b ON b.author = a.id;
INSERT INTO author (name) VALUES ('Łem'), ('O''Brian'), ('back\\\\slash'), ('two\\nlines');
INSERT INTO book (author, title, price, cover, made, facts)
  SELECT a.id, CONCAT(a.name, ' ', b.id), a.id / b.id, UNHEX('00FF1A0D0A27'),
  '2026-02-03 04:05:06', REPEAT(a.name, 999) FROM author a JOIN author b;
DELIMITER //
CREATE TRIGGER trims BEFORE INSERT ON book FOR EACH ROW
BEGIN
  SET NEW.title = TRIM(NEW.title);
END//
CREATE PROCEDURE count_books(OUT n INT)
BEGIN
  SELECT COUNT(*) INTO n FROM book;
END//
CREATE FUNCTION twice(n INT) RETURNS INT DETERMINISTIC RETURN n * 2//
DELIMITER ;
"""

SCRIPT: Final = """
SELECT * FROM shelf ORDER BY title LIMIT 3;
CALL count_books(@n); SELECT @n, twice(@n);
SHOW CREATE TABLE book\\G
SHOW TABLES; DESCRIBE author;
UPDATE book SET price = price + 1 WHERE author = 1;
SELECT SUM(price) FROM book;
SHOW WARNINGS;
SELECT nothing FROM book;
SELECT LENGTH(cover), HEX(cover), made FROM book WHERE id = 1;
CREATE TEMPORARY TABLE mine AS SELECT id FROM author; SELECT COUNT(*) FROM mine; DROP TABLE mine;
BEGIN; DELETE FROM author; SELECT COUNT(*) FROM book; ROLLBACK; SELECT COUNT(*) FROM book;
PREPARE s FROM 'SELECT ? + 1'; SET @a = 3; EXECUTE s USING @a; DEALLOCATE PREPARE s;
"""

CLIENTS: Final[dict[str, Sequence[str]]] = {
    "a table": ("--table", "--force"),
    "with warnings and columns' kinds": ("--show-warnings", "--column-type-info", "--force"),
    "row by row": ("--quick", "--batch", "--force"),
    "as XML": ("--xml", "--force"),
    "as HTML": ("--html", "--force"),
    "up to the first mistake": ("-vvv",),
    "compressed": ("--compress", "--force"),
    "with completion": ("--auto-rehash", "--force"),
}

DUMPS: Final[dict[str, Sequence[str]]] = {
    "everything": ("--routines", "--triggers", "--events"),
    "one transaction": ("--single-transaction", "--quick", "--routines"),
    "one transaction, and flushed logs": ("--single-transaction", "--flush-logs"),
    "tables locked": ("--lock-tables", "--add-locks", "--extended-insert=FALSE"),
    "all locked": ("--lock-all-tables",),
    "as hexadecimal": ("--hex-blob", "--complete-insert", "--order-by-primary"),
    "no data": ("--no-data",),
    "as XML": ("--xml",),
    "some rows": ("--where=author = 2", "--tables", DATABASE, "book"),
    "compressed": ("--compress",),
}


UNSTEADY: Final = (
    r"[\d.]+ sec",  # how long a statement took
    r'<options [^>]*/>|(Created|Cardinality)="[^"]*"',  # in XML: estimates, and times
)


def main() -> None:
    """Run everything."""
    OPTIONS.write_text(
        "[client]\n"
        f"host=127.0.0.1\nport={ENVIRONMENT['MYSQL_SUITE_PORT']}\nprotocol=tcp\n"
        f"user={ENVIRONMENT['MYSQL_SUITE_USER']}\npassword={ENVIRONMENT['MYSQL_SUITE_PASSWORD']}\n"
        f"ssl-ca={ENVIRONMENT['AUTHORITY']}\ndefault-character-set=utf8mb4\n"
    )
    _note("the client: a script that makes tables", _client(SCHEMA))
    for name, options in CLIENTS.items():
        _note(f"the client: {name}", _client(SCRIPT, *options))
    for name, options in DUMPS.items():
        tables = () if "--tables" in options else (DATABASE,)
        dump = _dump(*options, *tables)
        _note(f"a dump: {name}", dump)
        if "--xml" not in options:
            _note(f"a dump loaded again: {name}", _load(dump))
    whole = _dump("--databases", DATABASE, "--add-drop-database", "--routines")
    _note("a dump of databases", whole)
    _note("a dump of databases loaded over them", _client(whole))
    _note("a dump of databases after that", _dump("--databases", DATABASE, "--routines"))
    _note("the import of a file", _import())
    for name in ("CHECK", "ANALYZE", "OPTIMIZE"):
        flag = f"--{name.lower()}"
        _note(f"the check program: {flag}", _run("mariadb-check", flag, DATABASE))
    _note("the list of databases", _run("mariadb-show"))
    _note("the list of tables", _run("mariadb-show", "--count", DATABASE))
    _note("the administrator: ping", _run("mariadb-admin", "ping"))


def _client(text: str, *options: str, database: str = DATABASE) -> str:
    return _run("mariadb", "--comments", *options, database, sent=text)


def _dump(*options: str) -> str:
    said = _run("mariadb-dump", "--skip-dump-date", *options)
    return re.sub(r"(?m)^-- Host:.*$", "", said)


def _load(dump: str) -> str:
    """Load a dump into an empty database, and say what is there then."""
    _run("mariadb", sent="DROP DATABASE IF EXISTS again; CREATE DATABASE again")
    said = _client(dump, database="again")
    return said + _dump("--routines", "--skip-comments", "again")


def _import() -> str:
    file = OPTIONS.with_name("author.txt")
    file.write_text("77\tfrom a file\n78\tand another\n")
    said = _run("mariadb-import", "--local", DATABASE, str(file))
    return said + _client("SELECT * FROM author ORDER BY id")


def _run(program: str, *arguments: str, sent: str = "") -> str:
    """Run a program, and return all that it said, and how it ended."""
    done = subprocess.run(
        (program, f"--defaults-file={OPTIONS}", *arguments),
        input=sent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="surrogateescape",
        timeout=60,
        check=False,
    )
    return done.stdout + (f"\n-- {done.returncode}" if done.returncode else "")


def _note(name: str, said: str) -> None:
    for pattern in UNSTEADY:
        said = re.sub(pattern, "", said)
    bytes_said = said.encode(errors="surrogateescape")
    digest = hashlib.sha256(bytes_said).hexdigest()[:12]
    with Path(ENVIRONMENT["OUTCOMES"]).open("a") as report:
        report.write(json.dumps([f"{name} ({digest})", "passed"]) + "\n")
    file = OPTIONS.with_name(f"{OPTIONS.stem}.{re.sub('[^a-z]+', '-', name.lower())}.txt")
    file.write_bytes(bytes_said)


if __name__ == "__main__":
    main()
