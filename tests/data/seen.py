"""What the tests look at in a table."""

from fewtune.data.columns import Role

ROLES = (Role("text"), Role("label"))


def texts(table):
    return [row["text"] for row in table.rows]


def labels(table):
    return [row["label"] for row in table.rows]


def lines(table):
    return [row.origin.line for row in table.rows]


def codes(table):
    return [(entry.origin.line, entry.code) for entry in table.ledger.quarantined]
