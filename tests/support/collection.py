"""Which clocks the tests read while they are collected: none, or a long run fails where a short one passes.

What is executed then is the top level of a module, its classes, its decorators (and so the arguments of
``parametrize`` and Hypothesis's strategies), and the defaults of arguments; not the bodies of functions, unless
something of that kind calls them.
"""

import ast
from dataclasses import dataclass, field

_TIME = ("time", "monotonic", "perf_counter", "process_time", "thread_time")
CLOCKS = {
    *(f"time.{name}{ns}" for name in _TIME for ns in ("", "_ns")),
    *(f"time.{name}" for name in ("localtime", "gmtime", "ctime", "asctime", "strftime", "clock_gettime")),
    "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today",
    "uuid.uuid1", "uuid.uuid7", "nightlight_core.clock.system_clock", "nightlight.cli.key_commands.token",
}  # fmt: skip


@dataclass
class Module:
    """One file: what its names stand for, what it calls when it is imported, and what its functions call."""

    name: str
    names: dict = field(default_factory=dict)
    collected: list = field(default_factory=list)
    functions: dict = field(default_factory=dict)

    @classmethod
    def read(cls, name, text):
        tree = ast.parse(text)
        names = cls(name)
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    shown = alias.asname or alias.name.split(".")[0]
                    names.names[shown] = alias.name if alias.asname else shown
            elif isinstance(node, ast.ImportFrom):
                names.names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                names.names[node.name] = f"{name}.{node.name}"
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                names.names.setdefault(node.targets[0].id, names.meaning(node.value))
        for node in tree.body:
            names._note(node)
        return names

    def meaning(self, node):
        """The dotted path that an expression stands for, or nothing."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id, "")
        if isinstance(node, ast.Attribute):
            parent = self.meaning(node.value)
            return f"{parent}.{node.attr}" if parent else ""
        return ""

    def _note(self, node):
        """Note the calls of one statement or expression that is executed at import, and what functions call."""
        if isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'":
            return
        if isinstance(node, ast.Lambda):
            later, now = [node.body], [*node.args.defaults, *filter(None, node.args.kw_defaults)]
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            now = [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]
            later = node.body
            calls = [call for body in later for call in ast.walk(body) if isinstance(call, ast.Call)]
            self.functions[f"{self.name}.{node.name}"] = {self.meaning(call.func) for call in calls}
        else:
            now = list(ast.iter_child_nodes(node))
            if isinstance(node, ast.Call):
                self.collected.append((node.lineno, self.meaning(node.func)))
            if isinstance(node, ast.ClassDef):
                self._note_class(node)
        for statement in now:
            self._note(statement)

    def _note_class(self, node):
        """Whoever calls the class calls what its constructor does."""
        calls = [
            self.meaning(call.func)
            for method in node.body
            if isinstance(method, ast.FunctionDef) and method.name in {"__init__", "__post_init__", "__new__"}
            for call in ast.walk(method)
            if isinstance(call, ast.Call)
        ]
        self.functions[f"{self.name}.{node.name}"] = set(calls)


def offences(texts):
    """``module:line: clock`` of every clock that is read at collection; ``texts`` are modules' sources by their names."""
    modules = [Module.read(name, text) for name, text in sorted(texts.items())]
    reading = {clock: clock for clock in CLOCKS}
    functions = {name: calls for module in modules for name, calls in module.functions.items()}
    while more := {
        name: reading[call]
        for name, calls in functions.items()
        for call in sorted(calls)
        if name not in reading and call in reading
    }:
        reading.update(more)
    return [
        f"{module.name}:{line}: {reading[call]}" + ("" if call in CLOCKS else f" by {call}")
        for module in modules
        for line, call in module.collected
        if call in reading
    ]
