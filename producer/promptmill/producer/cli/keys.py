"""`promptmill keys`: who may use the gateway."""

from promptmill.producer.cli.output import moment, note, print_json, print_table
from promptmill.producer.opening import opened
from promptmill.schema.errors import UsageError
from promptmill.schema.settings import load_settings
from promptmill.schema.tenants import KeyRow, Scope, keys_of_all
from promptmill.schema.tenants import add_key as make_key
from promptmill.schema.tenants import revoke_key as end_key

_LONGEST = 100
_COLUMNS = ("key", "tenant", "ends with", "scopes", "label", "made (UTC)", "revoked")


def add_key(tenant: str, *, label: str, read_only: bool, as_json: bool) -> None:
    """Make a key of *tenant* and print it, this once."""
    for what, text in (("tenant", tenant), ("label", label or "-")):
        if not (text.isprintable() and 0 < len(text) <= _LONGEST):
            msg = f"the {what} is not one of 1 to {_LONGEST} printable characters: {text[:80]!r}"
            raise UsageError(msg)
    scopes = {Scope.READ} if read_only else {Scope.READ, Scope.BATCH}
    with opened(load_settings(), create=True) as database, database.write() as connection:
        number, key = make_key(connection, tenant, label=label, scopes=scopes)
    if as_json:
        print_json({"number": number, "tenant": tenant, "key": key.reveal()})
        return
    note(f"key {number} of {tenant}; it is shown this once:")
    print(key.reveal())


def list_keys(*, as_json: bool) -> None:
    """Print all keys, by tenant."""
    with opened(load_settings()) as database, database.read() as connection:
        keys = keys_of_all(connection)
    if as_json:
        for key in keys:
            print_json(_row(key))
    elif keys:
        print_table(_COLUMNS, [tuple(_row(key).values()) for key in keys])
    else:
        note("there is no key yet: `promptmill keys add NAME` makes one")


def revoke_key(number: int) -> None:
    """Let nobody in with a key from now on."""
    with opened(load_settings()) as database, database.write() as connection:
        revoked = end_key(connection, number)
    if not revoked:
        msg = f"there is no key {number} that is in use: `promptmill keys list` lists them"
        raise UsageError(msg)
    note(f"key {number} is revoked")


def _row(key: KeyRow) -> dict[str, object]:
    return {
        "number": key.id,
        "tenant": key.tenant,
        "ends_with": key.ends_with,
        "scopes": key.scopes,
        "label": key.label,
        "made": moment(key.made_at),
        "revoked": moment(key.revoked_at) if key.revoked_at else "",
    }
