"""Statement, session, ledger and servers go in; a Route with its reason comes out."""
