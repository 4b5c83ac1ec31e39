"""What a migration may not do while processes of the release before run: read from its source, before it ever runs.

::

    phase missing          each says "expand" or "contract"; a contract says works_for, and has an expand before it
    no downgrade           each can be taken back
    takes away             drop, rename, a narrower or other type, NOT NULL: in an expand step
    not-null column        a new column of an old table is nullable, or the server has a default for it
    locks for long         an index of an old table without steps.create_index; a constraint that is checked at once;
                           UPDATE or DELETE of an old table without steps.backfill
    sets timeouts          lock_timeout and statement_timeout are migrate's to set
"""

import ast
import re
from pathlib import Path

# Migrations that were there before this rule, and run in one go on an empty or stopped deployment.
GRANDFATHERED = "0011"
_TAKES_AWAY = {"drop_column", "drop_table", "drop_index", "drop_constraint", "rename_table", "drop_table_comment"}
_CHECKED = {"create_foreign_key", "create_check_constraint", "create_unique_constraint", "create_primary_key",
            "create_exclude_constraint", "batch_alter_table"}  # fmt: skip
_SQL_AWAY = re.compile(
    r"\b(DROP|RENAME|SET\s+NOT\s+NULL|TRUNCATE|ALTER\s+COLUMN\s+\S+\s+(SET\s+DATA\s+)?TYPE)\b", re.IGNORECASE
)
_SQL_LONG = re.compile(
    r"^\s*(UPDATE|DELETE\s+FROM|LOCK|CLUSTER|VACUUM|REINDEX|CREATE\s+(UNIQUE\s+)?INDEX(?!\s+CONC))", re.IGNORECASE
)
_SQL_TABLE = re.compile(r"\b(?:UPDATE|DELETE\s+FROM)\s+\"?(\w+)", re.IGNORECASE)


def problems(path):
    """What is wrong with a migration, a sentence each."""
    tree = ast.parse(Path(path).read_text())
    names = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    sentences = []
    phase = names.get("phase")
    if phase not in {"expand", "contract"}:
        sentences.append('phase missing: say phase = "expand" or "contract"')
    if phase == "contract" and not names.get("works_for"):
        sentences.append("works_for missing: a contract step says which revision's processes still work")
    if phase == "contract" and str(names.get("works_for")) > str(names.get("down_revision")):
        sentences.append("works_for is this step itself: the release before must still run")
    down = functions.get("downgrade")
    if down is None or all(isinstance(node, (ast.Pass, ast.Expr)) and not calls(node) for node in down.body):
        sentences.append("no downgrade")
    if re.search(r"(lock|statement)_timeout", Path(path).read_text()):
        sentences.append("sets timeouts: they are migrate's")
    # Everything but downgrade may be reached from upgrade.
    up = [call for name, node in functions.items() if name != "downgrade" for call in calls(node)]
    new_tables = {argument(call, 0, "table_name") for call in up if name_of(call) == "op.create_table"}
    for call in up:
        sentences += [f"line {call.lineno}: {problem}" for problem in of_call(call, new_tables, phase)]
    return sentences


def of_call(call, new_tables, phase):
    name = name_of(call)
    head, _, verb = name.rpartition(".")
    if head == "op" and verb in _TAKES_AWAY and phase != "contract":
        yield f"takes away: {verb}"
    if head == "op" and verb == "alter_column" and phase != "contract":
        given = {keyword.arg for keyword in call.keywords}
        if given & {"new_column_name", "type_"} or constant(call, "nullable") is False:
            yield "takes away: alter_column"
    if head == "op" and verb == "add_column" and argument(call, 0, "table_name") not in new_tables:
        column = next(
            (part for part in ast.walk(call) if isinstance(part, ast.Call) and name_of(part).endswith("Column")), None
        )
        if column is None or (constant(column, "nullable") is not True and not has(column, "server_default")):
            yield "not-null column: nullable=True, or a server_default"
    if head == "op" and verb == "create_index" and argument(call, 1, "table_name") not in new_tables:
        yield "locks for long: steps.create_index makes it concurrently"
    if head == "op" and verb in _CHECKED:
        yield f"locks for long: {verb} checks every row"
    if verb in {"execute", "text"}:
        yield from of_sql(call, new_tables, phase)


def of_sql(call, new_tables, phase):
    sql = " ".join(
        part.value for part in ast.walk(call) if isinstance(part, ast.Constant) and isinstance(part.value, str)
    )
    table = _SQL_TABLE.search(sql)
    if phase != "contract" and _SQL_AWAY.search(sql):
        yield "takes away: in SQL"
    if _SQL_LONG.search(sql) and not (table and table[1] in new_tables):
        yield "locks for long: in SQL"


def calls(node):
    return [part for part in ast.walk(node) if isinstance(part, ast.Call)]


def name_of(call):
    return ast.unparse(call.func)


def argument(call, place, name):
    given = next((keyword.value for keyword in call.keywords if keyword.arg == name), None)
    value = given if given is not None else call.args[place] if len(call.args) > place else None
    return value.value if isinstance(value, ast.Constant) else None


def constant(call, name):
    return next((k.value.value for k in call.keywords if k.arg == name and isinstance(k.value, ast.Constant)), None)


def has(call, name):
    return any(keyword.arg == name for keyword in call.keywords)
