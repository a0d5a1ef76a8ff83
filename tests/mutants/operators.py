"""Small faults in a source: a comparison turned round, + for -, and/or, a constant one off, a slice one off, `return None`, …

A fault replaces a few bytes and leaves everything else as it is written. Texts, annotations, decorators and what is raised have
none: they say what code means, and decide nothing. Nor have the named numbers at the top of a module: each is a choice, one more or
one less is another one, and tests call it by its name.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], tuple[str, tuple[str, ...]]] = {
    ast.Lt: ("<", ("<=", ">")),
    ast.LtE: ("<=", ("<", ">=")),
    ast.Gt: (">", (">=", "<")),
    ast.GtE: (">=", (">", "<=")),
    ast.Eq: ("==", ("!=",)),
    ast.NotEq: ("!=", ("==",)),
    ast.In: ("in", ("not in",)),
    ast.NotIn: ("not in", ("in",)),
    ast.Is: ("is", ("is not",)),
    ast.IsNot: ("is not", ("is",)),
}
ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "//"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
}
OPPOSITES = {"min": "max", "argmin": "argmax", "minimum": "maximum", "any": "all", "floor": "ceil"}
OPPOSITES |= {after: before for before, after in OPPOSITES.items()}


@dataclass(frozen=True)
class Mutant:
    """A source with one fault."""

    path: str
    """From the root of the checkout."""
    line: int
    where: str
    """The function that it lies in, "" outside of one."""
    before: str
    after: str
    """The line without and with the fault."""
    source: bytes
    """The whole file with the fault."""

    @property
    def name(self) -> str:
        """What stays the same when lines are added above; a line that stands twice in one function has one name."""
        return f"{self.path} {self.where}: {self.before}  =>  {self.after}"

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.where}: {self.before}  =>  {self.after}"


def make_mutants(path: str, source: bytes) -> list[Mutant]:
    """All mutants of a source in the order of its text, a few that `is_another_program` turns away among them. Raises
    `SyntaxError` for a source that is no Python."""
    finder = _Finder(source)
    finder.visit(ast.parse(source))
    lines, made = source.splitlines(), []
    for start, end, text, line, where in sorted(set(finder.edits)):
        changed = source[:start] + text.encode() + source[end:]
        made.append(Mutant(path, line, where, _text(lines[line - 1]), _text(changed.splitlines()[line - 1]), changed))
    return made


def is_another_program(source: bytes, changed: bytes) -> bool:
    """Whether Python reads `changed`, and as something else than `source`: an operator may have been found in a comment."""
    try:
        return ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source))
    except SyntaxError:
        return False


def _text(line: bytes) -> str:
    return line.decode().strip()


class _Finder(ast.NodeVisitor):
    """Collects edits: start and end in bytes, what comes there instead, line, function."""

    def __init__(self, source: bytes) -> None:
        self.source = source
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.scope: list[str] = []
        self.edits: list[tuple[int, int, str, int, str]] = []

    def _start(self, node: ast.expr) -> int:
        return self.starts[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.expr) -> int:
        return self.starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)

    def _edit(self, start: int, end: int, text: str) -> None:
        line = self.source.count(b"\n", 0, start) + 1
        self.edits.append((start, end, text, line, ".".join(self.scope)))

    def _between(self, left: ast.expr, right: ast.expr, before: str, after: str) -> None:
        """Another operator between two operands. Parentheses may stand there, too, and `not  in` is never written."""
        start = self.source.find(before.encode(), self._end(left), self._start(right))
        if start >= 0:
            self._edit(start, start + len(before), after)

    def _inside(self, node: ast.AST) -> None:
        for below in ast.iter_child_nodes(node):
            self.visit(below)

    def _named(self, node: ast.FunctionDef | ast.ClassDef) -> None:
        self.scope.append(node.name)
        if isinstance(node, ast.FunctionDef):
            for default in (*node.args.defaults, *node.args.kw_defaults):
                if default is not None:
                    self.visit(default)
        for below in node.body:
            self.visit(below)
        self.scope.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._named(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._named(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_Raise(self, node: ast.Raise) -> None:
        """No faults: what is said of an error decides nothing."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """No faults: a text."""

    def visit_If(self, node: ast.If) -> None:
        if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            self._inside(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        for left, kind, right in zip((node.left, *node.comparators), node.ops, node.comparators, strict=False):
            before, others = COMPARISONS[type(kind)]
            for after in others:
                self._between(left, right, before, after)
        self._inside(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        is_type = isinstance(node.op, ast.BitOr) and not self.scope  # Rows = tuple[int, ...] | None
        if type(node.op) in ARITHMETIC and not is_type:
            self._between(node.left, node.right, *ARITHMETIC[type(node.op)])
        self._inside(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if type(node.op) in ARITHMETIC:
            before, after = ARITHMETIC[type(node.op)]
            self._between(node.target, node.value, before + "=", after + "=")
        self._inside(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        before, after = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._between(left, right, before, after)
        self._inside(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self._edit(self._start(node), self._start(node) + len("not "), "")
        if isinstance(node.op, ast.Invert):
            self._edit(self._start(node), self._start(node) + len("~"), "")
        self._inside(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if not self.scope:
            return
        if isinstance(value, bool):
            self._edit(self._start(node), self._end(node), str(not value))
        elif isinstance(value, int | float):
            for other in (value + 1, value - 1):
                self._edit(self._start(node), self._end(node), repr(other))

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg != "strict":  # of `zip`: a check, where lengths are equal anyway
            self._inside(node)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
            self._edit(self._start(node.value), self._end(node.value), "None")
        self._inside(node)

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in OPPOSITES:
            self._edit(self._start(node), self._end(node), OPPOSITES[node.id])

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if node.attr in OPPOSITES:
            self._edit(self._end(node) - len(node.attr), self._end(node), OPPOSITES[node.attr])
        if not (
            node.attr == "shape" and isinstance(node.value, ast.Subscript)
        ):  # tables[0].shape is that of tables[1], too
            self._inside(node)

    def visit_Call(self, node: ast.Call) -> None:
        if not (isinstance(node.func, ast.Name) and node.func.id == "len" and isinstance(node.args[0], ast.Subscript)):
            self._inside(node)

    def visit_Slice(self, node: ast.Slice) -> None:
        for bound in (node.lower, node.upper):
            if bound is not None and not _is_number(bound):  # a number is one off as every constant is
                for off in (" + 1", " - 1"):
                    self._edit(self._start(bound), self._end(bound), f"({ast.unparse(bound)}){off}")
        self._inside(node)


def _is_number(node: ast.expr) -> bool:
    return isinstance(node.operand if isinstance(node, ast.UnaryOp) else node, ast.Constant)
