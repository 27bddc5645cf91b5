"""What a statement does: fingerprint, classification, functions, catalog lineage.

`scanner` makes a fingerprint of a text, `classify` a `Statement` of a fingerprint, and a `Catalog`
an `Access` of a statement, in a database, for a search path. `session_commands` and
`setting_calls` read a text's values where they matter. `statement` knows no engine; the grammar
is in `postgres/`.
"""
