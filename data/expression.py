"""Reads constructor calls written as Python, `Causal() & SlidingWindow(64)`, without evaluating any code."""

import ast
from collections.abc import Callable
from typing import Any

# Called with a name, positional and keyword arguments; makes the thing that is named.
Resolve = Callable[[str, list[Any], dict[str, Any]], Any]

_WORDS = {"none": None, "None": None, "true": True, "True": True, "false": False, "False": False}


def parse(text: str, resolve: Resolve) -> Any:
    """The value of an expression made of constants, tuples, constructor calls, and `&`, `|`, `~` on them.

    Raises SyntaxError, with a message that says what is not understood.
    """
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError as error:
        raise SyntaxError(f"it is no expression ({error.msg})") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise SyntaxError(f"it is no expression ({error or type(error).__name__})") from None
    return _value(tree.body, resolve)


def _value(node: ast.expr, resolve: Resolve) -> Any:
    match node:
        case ast.Constant(value=value) if value is None or isinstance(value, bool | int | float | str):
            return value
        case ast.Name(id=name) if name in _WORDS:
            return _WORDS[name]
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return tuple(_value(item, resolve) for item in items)
        case ast.UnaryOp(op=ast.USub(), operand=operand) if isinstance(operand, ast.Constant):
            return -_value(operand, resolve)
        case ast.UnaryOp(op=ast.Invert(), operand=operand):
            return ~_value(operand, resolve)
        case ast.BinOp(left=left, op=ast.BitAnd(), right=right):
            return _value(left, resolve) & _value(right, resolve)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _value(left, resolve) | _value(right, resolve)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=keywords):
            values = [_value(argument, resolve) for argument in arguments]
            named = {str(keyword.arg): _value(keyword.value, resolve) for keyword in keywords}
            return resolve(name, values, named)
        case ast.Name(id=name):
            raise SyntaxError(f"'{name}' is a bare word; write a call, '{name}()', for a type")
    raise SyntaxError(f"'{ast.unparse(node)}' is neither a value nor a constructor call")
