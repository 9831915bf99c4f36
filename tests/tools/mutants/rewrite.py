"""Puts many mutants into one file, each behind a switch that is read at run time.

A switch is `crate::mutants::on(N)`. What stands behind it is between two comments, by which
an error of the compiler is laid to the mutant that made it.
"""

import re

import tree_sitter
import tree_sitter_rust

PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_rust.language()))

# Where only a constant may stand, nothing can be chosen at run time.
CONSTANTS = ("const_item", "static_item", "array_type", "enum_variant", "const_block")

CONSTANT = "a constant"

# `<17*/` and `17>` are around what mutant 17 puts in, `{17*/` and `17}` around a function whose
# value it replaces.
MARK = re.compile(rb"/\*([<{])(\d+)\*/|/\*(\d+)([>}])\*/")


class Misfit(Exception):
    """A mutant cannot be put behind a switch; the text says why."""


def on(number):
    return b"crate::mutants::on(%d)" % number


def marked(number, text):
    return b"/*<%d*/%s/*%d>*/" % (number, text, number)


def offsets(source):
    """The byte offset of each line's begin."""
    begins = [0]
    for line in source.split(b"\n"):
        begins.append(begins[-1] + len(line) + 1)
    return begins


def byte_at(source, begins, place):
    line, column = place
    text = source[begins[line - 1] : begins[line]].decode()
    return begins[line - 1] + len(text[: column - 1].encode())


def climb(node, fits):
    while node is not None and not fits(node):
        node = node.parent
    return node


def in_constant(node):
    child = node
    while (node := child.parent) is not None:
        if node.type in CONSTANTS:
            return True
        if node.type == "array_expression" and node.child_by_field_name("length") == child:
            return True
        if node.type == "function_item":
            return False
        child = node
    return False


class File:
    """One file of the source, and what is to be changed in it."""

    def __init__(self, source, mutants, keep_const=()):
        self.source = source
        self.tree = PARSER.parse(source)
        self.begins = offsets(source)
        self.keep_const = keep_const
        self.edits = {}
        self.misfits = {}
        # Functions that are no longer `const`: their names.
        self.loosened = set()
        for mutant in mutants:
            try:
                self.place(mutant)
            except Misfit as why:
                self.misfits[mutant] = str(why)
        self.dirty = set()
        for node, _ in self.edits.values():
            while node is not None and node.id not in self.dirty:
                self.dirty.add(node.id)
                node = node.parent

    def attach(self, node, mutant):
        self.edits.setdefault(node.id, (node, []))[1].append(mutant)

    def place(self, mutant):
        """Finds the node that a mutant changes."""
        start = byte_at(self.source, self.begins, mutant.start)
        end = byte_at(self.source, self.begins, mutant.end)
        leaf = self.tree.root_node.descendant_for_byte_range(start, start + 1)
        node = climb(leaf, lambda node: fits(mutant, node, start, end))
        if node is None:
            raise Misfit(f"there is no place for {mutant.genre}")
        if in_constant(node):
            raise Misfit(CONSTANT)
        # The constant function is made one of run time; what needs it as it was will not build.
        function = climb(node, lambda node: node.type == "function_item")
        if function is not None:
            for child in function.children:
                if child.type == "function_modifiers" and b"const" in child.text.split():
                    name = function.child_by_field_name("name").text.decode()
                    if name in self.keep_const:
                        raise Misfit("a constant function")
                    self.loosened.add(name)
                    self.edits.setdefault(child.id, (child, []))
        if mutant.genre == "BinaryOperator" and node.type == "let_chain":
            raise Misfit("unviable: `let` can only be joined by &&")
        self.attach(node, mutant)

    def text(self):
        return self.emit(self.tree.root_node)

    def emit(self, node):
        if node.id not in self.dirty:
            return node.text
        plain = self.children(node)
        edit = self.edits.get(node.id)
        if edit is None:
            return plain
        return self.apply(node, edit[1], plain)

    def children(self, node, replaced=None, left_out=()):
        """The node's text with what is changed within; `replaced` are children's new texts."""
        replaced = replaced or {}
        out, at = [], node.start_byte
        for child in node.children:
            out.append(self.source[at : child.start_byte])
            if child.id in left_out:
                pass
            elif child.id in replaced:
                out.append(replaced[child.id])
            else:
                out.append(self.emit(child))
            at = child.end_byte
        out.append(self.source[at : node.end_byte])
        return b"".join(out)

    def apply(self, node, mutants, plain):
        if node.type == "function_modifiers":
            return b" ".join(word for word in plain.split() if word != b"const")
        if node.type == "function_item":
            body = node.child_by_field_name("body")
            text = self.children(node, {body.id: with_values(node, mutants, self.emit(body))})
            for m in mutants:
                text = b"/*{%d*/%s/*%d}*/" % (m.number, text, m.number)
            return text
        if node.type in ("binary_expression", "compound_assignment_expr"):
            left = self.emit(node.child_by_field_name("left"))
            right = self.emit(node.child_by_field_name("right"))
            compound = node.type == "compound_assignment_expr"
            shape = b"{ %s %s (%s) }" if compound else b"{ ((%s) %s (%s)) }"
            return choice(
                plain,
                [(m.number, shape % (left, m.replacement.encode(), right)) for m in mutants],
            )
        if node.type == "unary_expression":
            rest = self.emit(node.children[-1])
            return choice(plain, [(m.number, b"{ (%s) }" % rest) for m in mutants])
        if node.type == "match_pattern":
            condition = node.child_by_field_name("condition")
            guard = b"(" + self.emit(condition) + b")"
            for m in mutants:
                if m.replacement == "true":
                    guard = b"(%s || %s)" % (on(m.number), guard)
                else:
                    guard = b"(!%s && %s)" % (on(m.number), guard)
            return self.children(node, {condition.id: guard})
        if node.type == "match_arm":
            pattern = node.child_by_field_name("pattern")
            guard = b" && ".join(b"!" + on(m.number) for m in mutants)
            return self.children(node, {pattern.id: self.emit(pattern) + b" if " + guard})
        if node.type == "struct_expression":
            body = node.child_by_field_name("body")
            others = []
            for m in mutants:
                start = byte_at(self.source, self.begins, m.start)
                gone = set()
                for child, after in zip(body.children, body.children[1:]):
                    if child.start_byte == start:
                        gone = {child.id} | ({after.id} if after.type == "," else set())
                text = self.children(node, {body.id: self.children(body, left_out=gone)})
                others.append((m.number, b"{ " + text + b" }"))
            return choice(plain, others)
        raise AssertionError(node.type)


def with_values(function, mutants, body):
    """The function's body, which may return the mutants' values instead."""
    returned = function.child_by_field_name("return_type")
    if returned is not None and returned.type == "abstract_type":
        # An iterator of one type, whichever it is of the two.
        for m in mutants:
            body = b"{ crate::mutants::either(%s, || %s, || %s) }" % (
                on(m.number),
                marked(m.number, m.replacement.encode()),
                body,
            )
        return body
    begin = b"".join(
        b" if %s { return %s; }" % (on(m.number), marked(m.number, m.replacement.encode()))
        for m in mutants
    )
    return b"{" + begin + body[1:]


def choice(plain, others):
    out = b"("
    for number, text in others:
        out += b"if %s %s else " % (on(number), marked(number, text))
    return out + b"{ " + plain + b" })"


def fits(mutant, node, start, end):
    """Whether the node is what the mutant changes; `start` and `end` are its span."""
    kind = node.type
    if mutant.genre == "FnValue":
        body = node.child_by_field_name("body") if kind == "function_item" else None
        return body is not None and body.start_byte < start and end < body.end_byte
    if mutant.genre == "BinaryOperator":
        if kind == "let_chain":
            return any(child.start_byte == start for child in node.children)
        operator = node.child_by_field_name("operator")
        return (
            kind in ("binary_expression", "compound_assignment_expr")
            and operator is not None
            and operator.start_byte == start
        )
    if mutant.genre == "UnaryOperator":
        return kind == "unary_expression" and node.start_byte == start
    if mutant.genre == "MatchArmGuard":
        condition = node.child_by_field_name("condition")
        return kind == "match_pattern" and condition is not None and condition.start_byte == start
    if mutant.genre == "MatchArm":
        return kind == "match_arm" and node.start_byte == start
    if mutant.genre == "StructField":
        return kind == "struct_expression" and node.start_byte < start
    return False


def blamed(text, begin, end):
    """The mutant in whose marks the bytes are, the innermost if there are more, and whether it
    is what the mutant has put in; else it is the function whose value it replaces."""
    around = []
    for mark in MARK.finditer(text):
        if mark.group(1):
            if mark.start() > begin:
                break
            around.append((int(mark.group(2)), mark.group(1) == b"<"))
        else:
            if mark.start() >= end:
                break
            around.pop()
    put_in = [number for number, inside in around if inside]
    if put_in:
        return put_in[-1], True
    return (around[-1][0], False) if around else None
